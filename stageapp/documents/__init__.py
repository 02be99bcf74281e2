"""JSON documents, one a subject: what a command prints with --json and what the API answers.

A document is described once, by its fields: they build it, and OpenAPI shows them.
"""
