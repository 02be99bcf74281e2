"""The site's middleware: security headers, request IDs, and sessions that last while they are used.

The headers allow no foreign content, no framing and no device access. No response allows other
origins (no CORS): other sites' pages can neither read nor embed the site.
"""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import structlog
from csp.constants import NONE, SELF
from django.conf import settings
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponseBase

from stageapp import conf

CONTENT_SECURITY_POLICY: dict[str, dict[str, list[str]]] = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
DEVICES = ("camera", "display-capture", "geolocation", "microphone", "payment", "usb")
HEADERS = {
    "Permissions-Policy": ", ".join(f"{device}=()" for device in DEVICES),
    "Cross-Origin-Resource-Policy": "same-origin",
}
RENEWED_EVERY = 600  # seconds
API_PREFIXES = ("/api/", "/_ops/")


class ProtectiveHeaders:
    """Middleware that adds the headers, and `no-store` to API responses without Cache-Control."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path_info.startswith(API_PREFIXES):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


_NAME = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIds:
    """Middleware that gives each request an ID, in every log line and in `X-Request-ID`.

    A trusted proxy (STAGE_TRUSTED_PROXIES) may supply the ID, so that its log and ours match. A
    caller may not.
    """

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


class SlidingSessions:
    """Middleware that lets a session last SESSION_COOKIE_AGE from its last request.

    It is written again at most every RENEWED_EVERY seconds, not with each request.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        sent = settings.SESSION_COOKIE_NAME in request.COOKIES
        if sent and time.time() - request.session.get("renewed", time.time()) >= RENEWED_EVERY:
            _renew(request)
        return self._get_response(request)


def _renew(request: HttpRequest, **_: Any) -> None:
    request.session["renewed"] = int(time.time())


user_logged_in.connect(_renew)
