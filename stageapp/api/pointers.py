"""Say where in a request a value stands: a JSON pointer (RFC 6901) into the body, or a query parameter."""

QUERY = "?"  # begins a place in the query string, as "/" begins one in the body


def escape(name: str) -> str:
    """Return one member name as a part of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def place(pointer: str) -> dict[str, str]:
    """Return the member of an answer that names the place: `pointer`, or `parameter` for the query string."""
    if pointer.startswith(QUERY):
        return {"parameter": pointer.removeprefix(QUERY)}
    return {"pointer": pointer}
