"""Gates: named conditions for moving forward, with their measurements. No data is never a pass."""
