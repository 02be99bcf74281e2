"""The rollout: canary, moves between modes and their gates, planned steps, and auto-downgrade."""
