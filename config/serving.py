"""What wraps the application: it waits for the mode, and Django meets no header it cannot read.

Until the mode is read, a web process knows only the default. Gunicorn has a hook for this
(`config/gunicorn.py`); any other server uses these wrappers. It is not done at import: a server may
load the application before it forks, and threads do not survive a fork.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from django.utils.http import parse_header_parameters

from config import urls  # noqa: F401  the addresses and all screens are loaded before the first request
from stageapp.mode import processes

WSGIApplication = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


def serving(application: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI application: a process's first request waits for the mode (at most 2 s)."""

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        processes.serve_as("web")
        return application(environ, start_response)

    return wrapped


def serving_asgi(application: ASGIApplication) -> ASGIApplication:
    """Wrap an ASGI application: startup (without lifespan, a request) waits for the mode."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if not processes.is_ready():
            await asyncio.to_thread(processes.serve_as, "web")
        if scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await application(scope, receive, send)

    return wrapped


async def _live(receive: Receive, send: Send) -> None:
    """Answer the lifespan protocol, which Django does not."""
    while (await receive())["type"] == "lifespan.startup":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


UNREADABLE = "application/octet-stream"
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii", "iso-8859-1"})


def readable_content_type(application: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI application: replace an unreadable Content-Type with `UNREADABLE`.

    Django reads the header while it builds the request, before its own error handling: an encoded
    parameter (RFC 2231) with an unknown charset causes a 500, and a charset such as rot13 breaks
    every later read of the query string.
    """

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
