"""Proven backups: created with a signed manifest, verified, and rehearsed by a real restore."""
