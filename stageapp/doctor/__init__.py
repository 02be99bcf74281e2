"""The doctor: what works, what does not, and what to do, even without PostgreSQL or Redis."""
