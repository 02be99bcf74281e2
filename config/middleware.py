"""The site's middleware: security headers, request IDs, request counts.

The headers allow no foreign content, no framing and no device access. No response allows other
origins (no CORS): other sites' pages can neither read nor embed the site.
"""

import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from csp.constants import NONE, SELF
from django.http import HttpRequest, HttpResponseBase
from django_prometheus.middleware import PrometheusAfterMiddleware

from stageapp import conf

CONTENT_SECURITY_POLICY = {
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


class RequestCounts(PrometheusAfterMiddleware):  # type: ignore[misc]  # it has no types
    """Middleware that counts requests by view, method and status, and times the views.

    The package takes the method as sent for a label, which makes the label values unbounded, and
    fails on a Content-Length that is not a number; both are prevented here.
    """

    def label_metric(
        self, metric: Any, request: HttpRequest, response: Any = None, **labels: Any
    ) -> Any:
        """Return the metric with its labels; all nonstandard HTTP methods share one value."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_request(self, request: HttpRequest) -> None:
        """Count the request; without a valid Content-Length its time is not measured."""
        with suppress(ValueError, OverflowError):
            super().process_request(request)
