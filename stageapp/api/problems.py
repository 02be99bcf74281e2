"""Return every API error as a problem document (RFC 9457) with a stable `type`."""

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.exceptions import APIException, ErrorDetail
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from stageapp.api.errors import (
    QUERY,
    BadRequest,
    BodyTooLarge,
    InvalidQuery,
    Problem,
    RequestTimeout,
    ServerError,
    Unavailable,
    escape,
    place,
)

CONTENT_TYPE = "application/problem+json"
MAX_ERRORS = 200
_log = logging.getLogger("stageapp.api")


TITLES = {
    "parse_error": "The body is not acceptable JSON",
    "invalid": "The request is not valid",
    "authentication_failed": "The credentials are not valid",
    "not_authenticated": "Credentials are needed",
    "permission_denied": "Not permitted",
    "not_found": "Not found",
    "method_not_allowed": "The method is not allowed here",
    "not_acceptable": "No acceptable representation",
    "unsupported_media_type": "The body's format is not supported",
    "throttled": "Too many requests",
}


def document(
    code: str, title: str, status: int, detail: str, members: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a problem document; `code` with dashes is the stable part of its type."""
    return {
        "type": f"/problems/{code.replace('_', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        **(members or {}),
    }


def problem_response(error: Exception, context: Mapping[str, Any]) -> Response:
    """Turn any exception of a view into a response; the API's exception handler."""
    set_rollback()
    recognised = _recognise(error)
    headers = recognised.headers() if isinstance(recognised, Problem) else {}
    if challenge := getattr(recognised, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(recognised, "wait", None):
        headers["Retry-After"] = str(int(wait))
    return Response(
        _document_of(recognised), recognised.status_code, headers=headers, content_type=CONTENT_TYPE
    )


def _recognise(error: Exception) -> APIException:
    match error:
        case APIException():
            return error
        case Http404():
            return exceptions.NotFound()
        case PermissionDenied():
            return exceptions.PermissionDenied()
        case RequestDataTooBig():
            return BodyTooLarge()
        case UnreadablePostError() if _was_late(error):
            return RequestTimeout()
        case SuspiciousOperation() | MultiPartParserError() | UnreadablePostError():
            return BadRequest()
        case OperationalError() | InterfaceError():
            _log.error("The database does not answer: %s", type(error).__name__)
            return Unavailable()
    _log.error("A view failed", exc_info=error)
    return ServerError()


def _was_late(error: BaseException | None) -> bool:
    """Whether a timeout is the root cause; Django wraps it once or twice."""
    return error is not None and (isinstance(error, TimeoutError) or _was_late(error.__cause__))


def _document_of(error: APIException) -> dict[str, Any]:
    status = error.status_code
    if isinstance(error, exceptions.ValidationError):
        root = QUERY if isinstance(error, InvalidQuery) else "/"
        faults = list(flatten(error.detail, "", root))
        members: dict[str, Any] = {"errors": faults[:MAX_ERRORS]}
        detail = (
            f"{len(faults)} {'part is' if len(faults) == 1 else 'parts are'} not valid; see errors."
        )
        return document("invalid_request", TITLES["invalid"], status, detail, members)
    code = error.default_code
    title = (
        error.title if isinstance(error, Problem) else TITLES.get(code, "The request was refused")
    )
    members = error.members() if isinstance(error, Problem) else {}
    return document(code, title, status, str(error.detail), members)


def flatten(detail: Any, pointer: str, root: str) -> Iterator[dict[str, str]]:
    """Yield one entry per error of DRF's nested details; `root` begins a place: `/` or QUERY."""
    if isinstance(detail, Mapping):
        for name, inner in detail.items():
            own = name == api_settings.NON_FIELD_ERRORS_KEY
            yield from flatten(
                inner,
                pointer if own else f"{pointer or ''}{'/' if pointer else root}{escape(str(name))}",
                root,
            )
    elif isinstance(detail, ErrorDetail):
        yield {**place(pointer), "code": str(detail.code), "detail": str(detail)}
    else:
        for inner in detail:
            yield from flatten(inner, pointer, root)
