"""The HTTP API: one module per resource (serializer and view) over shared errors and validation."""
