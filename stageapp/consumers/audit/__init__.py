"""The consumer audit: who still sends what, by our own counts, access logs and source code."""
