"""The webhook: who may say that an alert fires, and what follows from it. It can lower the mode
and nothing else.
"""
