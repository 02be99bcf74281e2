"""Request IDs: in every log line of the request and in the response's `X-Request-ID`.

A trusted proxy (STAGE_TRUSTED_PROXIES) may supply the ID, so that its log and ours match. A caller
may not.
"""

import re
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponseBase

from stageapp import conf

_NAME = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """Middleware that gives each request an ID while it is handled."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        name = request.META.get("HTTP_X_REQUEST_ID", "")
        if conf.settings.trusted_proxies < 1 or not _NAME.fullmatch(name):
            name = uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()  # a thread answers one request after the other
        structlog.contextvars.bind_contextvars(request_id=name)
        response = self._get_response(request)
        structlog.contextvars.clear_contextvars()
        response.headers["X-Request-ID"] = name
        return response
