"""Wait for the mode before a web process's first request; until then it knows only the default.

Gunicorn has a hook for this (`config/gunicorn.py`); any other server uses these wrappers. It is
not done at import: a server may load the application before it forks, and threads do not survive a
fork.
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
