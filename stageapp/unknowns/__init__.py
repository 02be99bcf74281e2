"""The unknown queue: what nothing maps yet is kept byte for byte, counted, and decided by a
person.
"""
