"""The door before `/_ops/`: closed to outsiders who bring nothing that could let them in.

Who calls from one of STAGE_OPS_NETWORKS, or brings credentials of any kind, comes to the resource, which then asks
for the right ones: a network alone opens nothing, and a token with the scope `ops` works from anywhere.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from stageapp import ops_access
from stageapp.api.fallbacks import credentials_needed

PREFIX = "/_ops/"
_CREDENTIALS = ("HTTP_AUTHORIZATION", "HTTP_WEBHOOK_SIGNATURE", "HTTP_X_ALERTMANAGER_SIGNATURE")


class OpsGate:
    """Answers 401 to outsiders without credentials, before anything is read or looked up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Let a request pass, or turn it away."""
        if request.path_info.startswith(PREFIX) and not (ops_access.inside(request.META) or _brings_any(request)):
            return credentials_needed(request)
        return self._get_response(request)


def _brings_any(request: HttpRequest) -> bool:
    return settings.SESSION_COOKIE_NAME in request.COOKIES or any(name in request.META for name in _CREDENTIALS)
