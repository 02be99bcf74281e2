"""The HTTP edge: one file per resource (serializer and view), over one way to refuse, to decide
and to answer.
"""
