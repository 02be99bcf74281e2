"""Every problem type the API can return, and what it means to the caller."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework import exceptions
from rest_framework.exceptions import APIException

from stageapp.api.errors import Problem
from stageapp.api.problems import TITLES

FRAMEWORK: tuple[type[APIException], ...] = (
    exceptions.ParseError,
    exceptions.AuthenticationFailed,
    exceptions.NotAuthenticated,
    exceptions.PermissionDenied,
    exceptions.NotFound,
    exceptions.MethodNotAllowed,
    exceptions.NotAcceptable,
    exceptions.UnsupportedMediaType,
    exceptions.Throttled,
)

# What it means and what to do, for a person who followed the `type` of an answer.
MEANINGS = {
    "assumptions-missing": "A stage is new, and operators have not yet entered the assumptions that simulations "
    "and allocations need for it. Ask them, or leave the stage out; nothing was done.",
    "authentication-failed": (
        "The token is unknown, expired or revoked. Ask the operators for a new one."
    ),
    "bad-request": "The request was truncated or is not valid HTTP. Send it again, complete.",
    "body-too-large": "The body is longer than the server accepts. Send fewer values at once.",
    "delivery-not-believed": (
        "The webhook accepts deliveries with a current timestamp signed with a shared "
        "secret, or with Alertmanager's own bearer token. The operators see in its log "
        "what was wrong."
    ),
    "gates-hold": (
        "Conditions for a stricter mode are not met; `gates` lists each with its "
        "threshold and measured value. Wait until they pass, or let someone who may "
        "override gates give a reason."
    ),
    "invalid-request": (
        "The request is valid JSON, but not valid for this endpoint. Each entry of "
        "`errors` names a place: a JSON pointer into the body, or a query parameter. "
        "Correct those; nothing was done."
    ),
    "length-required": "The body was sent in chunks. Send it with a Content-Length.",
    "method-not-allowed": (
        "The address exists, but not with this method. The Allow header lists the allowed methods."
    ),
    "mode-not-lowered": (
        "A token may only lower the validation mode. To raise it, use the admin or "
        "`manage.py mode set`."
    ),
    "mode-not-raised": (
        "The user may not raise the mode here: it was lowered automatically, or gates "
        "block the change."
    ),
    "mode-refused": (
        "The values are not a valid mode, or not one that may follow the current one; "
        "the detail says why."
    ),
    "no-notification": (
        "The sender is authenticated, but the body is not an Alertmanager notification: "
        "an object with `alerts`, each with a `status` and `labels`."
    ),
    "not-acceptable": "The response is JSON; let the Accept header allow application/json.",
    "not-authenticated": (
        "Send `Authorization: Token …`. The operators create tokens with `manage.py "
        "consumers token`."
    ),
    "not-found": (
        "There is nothing at this address that you are allowed to see, or the page is "
        "beyond the last one."
    ),
    "parse-error": (
        "The body is not JSON, or is JSON that parsers interpret differently: nested too "
        "deeply, a duplicate key, NaN, an integer beyond 2**53, another number that is "
        "too long or outside the range of a double, a NUL or half of a surrogate pair."
    ),
    "permission-denied": (
        "The token lacks the scope this method requires, or the session lacks its CSRF token."
    ),
    "request-timeout": "The request took longer to arrive than the server waits. Send it without pauses.",
    "second-person-needed": (
        "This change needs a second person. Propose it in the admin, where another "
        "person approves it."
    ),
    "server-error": (
        "Something failed that the request did not cause. It was logged; try again later."
    ),
    "throttled": "Too many requests. Wait for the number of seconds in Retry-After.",
    "unavailable": "The database does not answer, or a stored value is not usable. Try again soon.",
    "unknown-stage": (
        "The request contains a value that is not a stage, and the mode is `enforce`. "
        "Each entry of `errors` has the value, the reason and suggestions; "
        "`valid_stages` lists what may be sent. GET /api/stages lists them too."
    ),
    "unsupported-media-type": "Send application/json in UTF-8, not compressed.",
    "version-conflict": "Somebody changed the mode since you read it. Read it again, then decide.",
}


@dataclass(frozen=True)
class ProblemType:
    """One type: the last part of its URI, its status, title and meaning."""

    slug: str
    status: int
    title: str
    meaning: str


def problem_types() -> dict[str, ProblemType]:
    """Return the types by slug: the framework's, and every loaded subclass of Problem."""
    types = [ProblemType("invalid-request", 400, TITLES["invalid"], MEANINGS["invalid-request"])]
    types += [_type(kind, TITLES[kind.default_code]) for kind in FRAMEWORK]
    types += [_type(kind, kind.title) for kind in _subclasses(Problem)]
    return {it.slug: it for it in sorted(types, key=lambda it: it.slug)}


def _type(kind: type[APIException], title: str) -> ProblemType:
    slug = str(kind.default_code).replace("_", "-")
    return ProblemType(slug, kind.status_code, title, MEANINGS.get(slug, str(kind.__doc__)))


def _subclasses(kind: type[Problem]) -> Iterator[type[Problem]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _subclasses(inner)


# GET /problems/ and /problems/{type}: what the `type` of an answer leads to, for people.


@require_safe
def problem_index(request: HttpRequest) -> HttpResponse:
    """List every problem type."""
    return render(request, "problems/list.html", {"problems": problem_types().values()})


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show what one problem type means and what to do."""
    problem = problem_types().get(slug)
    if problem is None:
        raise Http404
    return render(request, "problems/one.html", {"problem": problem})
