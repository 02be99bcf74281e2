"""Compute a fund's outcome, its allocations and its reserves by stage; no database, no HTTP."""
