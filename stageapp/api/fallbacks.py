"""Problem documents for failures outside the API's views: unknown URLs, bad requests, faults."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.urls import Resolver404, resolve
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotAuthenticated

from stageapp.api.authentication import CHALLENGE
from stageapp.api.endpoint import Endpoint
from stageapp.api.errors import BadRequest, Problem, ServerError
from stageapp.api.problems import CONTENT_TYPE, TITLES, document
from stageapp.infrastructure import network

PREFIXES = ("/api/", "/_ops/")


@csrf_exempt
def no_such_resource(request: HttpRequest) -> HttpResponse:
    """Return 404 for an unknown URL under the API."""
    return _problem(document("not_found", TITLES["not_found"], 404, "There is no such resource."))


def credentials_needed(request: HttpRequest) -> HttpResponse:
    """Return 401 to a caller without the required credentials."""
    detail = str(NotAuthenticated.default_detail)
    answer = _problem(document("not_authenticated", TITLES["not_authenticated"], 401, detail))
    answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 404 anywhere (handler404)."""
    return (
        no_such_resource(request)
        if _is_api(request)
        else defaults.page_not_found(request, exception)
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return 400 anywhere (handler400)."""
    return _plain(BadRequest) if _is_api(request) else defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Return 500 anywhere (handler500); Django has logged the fault."""
    return _plain(ServerError) if _is_api(request) else defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(PREFIXES)


def _plain(kind: type[Problem]) -> HttpResponse:
    detail = str(kind.default_detail)
    return _problem(document(kind.default_code, kind.title, kind.status_code, detail))


def _problem(body: dict[str, Any]) -> HttpResponse:
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)


# The door before `/_ops/`: closed to outsiders who bring nothing that could let them in.
#
# Who calls from one of STAGE_OPS_NETWORKS, or brings credentials of any kind, comes to the
# resource, which then asks for the right ones: a network alone opens nothing, and a token with the
# scope `ops` works from anywhere.

PREFIX = "/_ops/"
_CREDENTIALS = ("HTTP_AUTHORIZATION", "HTTP_WEBHOOK_SIGNATURE", "HTTP_X_ALERTMANAGER_SIGNATURE")


class OpsGate:
    """Returns 401 to outside callers without credentials, before anything is read or looked up."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info.startswith(PREFIX) and not (
            network.inside(request.META)
            or (
                settings.SESSION_COOKIE_NAME in request.COOKIES
                or any(name in request.META for name in _CREDENTIALS)
            )
        ):
            return credentials_needed(request)
        return self._get_response(request)


# Which resource a path of an access log leads to.


NO_RESOURCE = "no_such_resource"


def resource_of(path: str) -> str | None:
    """Return the name under which this path's callers are recorded; None outside the API."""
    try:
        view = resolve(path).func
    except Resolver404:
        return None
    resource = getattr(view, "view_class", None)
    if isinstance(resource, type) and issubclass(resource, Endpoint):
        return resource.resource()
    return NO_RESOURCE if view is no_such_resource else None
