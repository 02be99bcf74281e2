"""The doctor: what works, what does not, and what to do, also with PostgreSQL or Redis away."""
