"""Gates: named conditions for moving forward, each with what was measured. No data is never a
pass.
"""
