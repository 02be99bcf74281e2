"""The rollout: the canary, the moves between modes and what each needs, planned steps, and the
guard.
"""
