"""The security headers of every response: no foreign content, no framing, no device access.

No response allows other origins (no CORS): other sites' pages can neither read nor embed the site.
"""

from collections.abc import Callable

from csp.constants import NONE, SELF
from django.http import HttpRequest, HttpResponseBase

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
