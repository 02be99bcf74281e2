"""A fund's outcome, allocations and reserves by stage; no database, no HTTP."""
