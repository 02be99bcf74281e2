"""The API's own errors; `problems` turns them into documents."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rest_framework.exceptions import APIException, ValidationError

from stageapp.finance.assumption_store import NoAssumptions, Unusable


class InvalidQuery(ValidationError):
    """The query string is invalid; places in `detail` are parameters, whatever the method."""


class Problem(APIException):
    """An error with its own type; set status_code, default_detail, default_code and title."""

    title = "The request was refused"

    def members(self) -> dict[str, Any]:
        """Return the document's members beyond type, title, status and detail."""
        return {}

    def headers(self) -> dict[str, str]:
        """Return the headers that accompany the document."""
        return {}


class BadRequest(Problem):
    """The request cannot be read."""

    status_code, default_code, title = 400, "bad_request", "The request cannot be read"
    default_detail = "The request cannot be read; send it again, complete and well formed."


class RequestTimeout(Problem):
    """The body did not arrive within the server's time limit."""

    status_code, default_code, title = 408, "request_timeout", "The request took too long to arrive"
    default_detail = "The body did not arrive in time; send it again without pauses."


class LengthRequired(Problem):
    """The body is chunked, so its length is not known in advance."""

    status_code, default_code, title = 411, "length_required", "A Content-Length is needed"
    default_detail = "Send the body with a Content-Length, not in chunks."


class BodyTooLarge(Problem):
    """The body is longer than DATA_UPLOAD_MAX_MEMORY_SIZE."""

    status_code, default_code, title = 413, "body_too_large", "The body is too large"
    default_detail = "Send a smaller body."


class ServerError(Problem):
    """Something failed that no caller could have caused or can fix."""

    status_code, default_code, title = 500, "server_error", "The server failed"
    default_detail = "The failure was logged; try again later."


class AssumptionsMissing(Problem):
    """A simulation or an allocation needs assumptions that nobody has recorded for a stage."""

    status_code, default_code, title = 409, "assumptions_missing", "A stage has no assumptions yet"
    default_detail = "The request names a stage that has no assumptions yet."


class Unavailable(Problem):
    """The database does not respond."""

    status_code, default_code, title = 503, "unavailable", "The service is not available"
    default_detail = "The database does not answer; try again soon."

    def headers(self) -> dict[str, str]:
        """Return Retry-After, in seconds."""
        return {"Retry-After": "5"}


@contextmanager
def usable_assumptions() -> Iterator[None]:
    """Turn missing assumptions into AssumptionsMissing, and unusable ones into Unavailable."""
    try:
        yield
    except NoAssumptions as error:
        raise AssumptionsMissing(str(error)) from error
    except Unusable as error:
        raise Unavailable(f"The assumptions for a stage are not usable: {error}") from error


# Say where in a request a value stands: a JSON pointer (RFC 6901) into the body, or a query
# parameter.

QUERY = "?"  # begins a place in the query string, as "/" begins one in the body


def escape(name: str) -> str:
    """Return a member name, escaped for a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def place(pointer: str) -> dict[str, str]:
    """Return the member that names the place: `pointer`, or `parameter` for the query string."""
    if pointer.startswith(QUERY):
        return {"parameter": pointer.removeprefix(QUERY)}
    return {"pointer": pointer}
