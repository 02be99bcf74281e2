"""Backups that are proven: made with a signed manifest, verified, and rehearsed by a real
restore.
"""
