"""GET /problems/ and /problems/{type}: what the `type` of an answer leads to, for people."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from stageapp.api.problem_types import problem_types


@require_safe
def problem_index(request: HttpRequest) -> HttpResponse:
    """List every type of problem."""
    return render(request, "problems/list.html", {"problems": problem_types().values()})


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Tell what one type of problem means, and what to do."""
    found = problem_types().get(slug)
    if found is None:
        raise Http404
    return render(request, "problems/one.html", {"problem": found})
