"""Let a web process know the mode before its first request: until a store answers it knows only the
default.

Gunicorn has a hook for it (`config/gunicorn.py`); any other server begins here. Not at import: a
server may load the application before it forks, and threads do not survive a fork.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from config import urls  # noqa: F401  the addresses and all screens are loaded before the first request
from config.content_types import WSGIApplication
from stageapp.mode import processes

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


def serving(application: WSGIApplication) -> WSGIApplication:
    """Wrap a WSGI application: the first request of a process waits (2 s at most) until the mode
    is known.
    """

    def wrapped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        processes.serve_as("web")
        return application(environ, start_response)

    return wrapped


def serving_asgi(application: ASGIApplication) -> ASGIApplication:
    """Wrap an ASGI application: the server's start waits until the mode is known; without
    lifespan, a request does.
    """

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
