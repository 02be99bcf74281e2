"""The consumer audit: who still sends what, from the product's own counts, from access logs, and
in source code.
"""
