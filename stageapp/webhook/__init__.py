"""The webhook: who may report that an alert fires, and the effect. It can only lower the mode."""
