"""Problem documents for what fails outside the views of the API: no such address, a broken request, a fault."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotAuthenticated

from stageapp.api.authentication import CHALLENGE
from stageapp.api.errors import BadRequest, Problem, ServerError
from stageapp.api.problems import CONTENT_TYPE, TITLES, document

PREFIXES = ("/api/", "/_ops/")


@csrf_exempt
def no_such_resource(request: HttpRequest) -> HttpResponse:
    """Answer 404 for an address under the API that leads nowhere."""
    return _problem(document("not_found", TITLES["not_found"], 404, "There is no such resource."))


def credentials_needed(request: HttpRequest) -> HttpResponse:
    """Answer 401 to who brings no credentials where some are needed."""
    detail = str(NotAuthenticated.default_detail)
    answer = _problem(document("not_authenticated", TITLES["not_authenticated"], 401, detail))
    answer.headers["WWW-Authenticate"] = CHALLENGE
    return answer


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404 anywhere (handler404)."""
    return no_such_resource(request) if _is_api(request) else defaults.page_not_found(request, exception)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 anywhere (handler400)."""
    return _plain(BadRequest) if _is_api(request) else defaults.bad_request(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer 500 anywhere (handler500); Django has logged the fault."""
    return _plain(ServerError) if _is_api(request) else defaults.server_error(request)


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(PREFIXES)


def _plain(kind: type[Problem]) -> HttpResponse:
    detail = str(kind.default_detail)
    return _problem(document(kind.default_code, kind.title, kind.status_code, detail))


def _problem(body: dict[str, Any]) -> HttpResponse:
    return JsonResponse(body, status=body["status"], content_type=CONTENT_TYPE)
