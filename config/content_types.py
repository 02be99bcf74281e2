"""Shield Django from Content-Types that it cannot read.

Django reads the header while it builds the request, before its own error handling: an encoded
parameter (RFC 2231) with an unknown charset causes a 500, and a charset such as rot13 breaks every
later read of the query string.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils.http import parse_header_parameters

UNREADABLE = "application/octet-stream"
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "iso-8859-1"})

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def readable_content_type(application: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI application: replace an unreadable Content-Type with `UNREADABLE`."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not is_readable(environ.get("CONTENT_TYPE", "")):
            environ["CONTENT_TYPE"] = UNREADABLE
        return application(environ, start_response)

    return wrapped


def is_readable(value: str) -> bool:
    """Whether Django can parse the header and its charset is an ordinary one."""
    try:
        _, parameters = parse_header_parameters(value)
    except ValueError:
        return False
    return parameters.get("charset", "utf-8").lower() in _CHARSETS
