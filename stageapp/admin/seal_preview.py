"""Seal a target: a look at what would pass and what would fail, then a confirmation with a reason.

What may stay is chosen in the address, so that what is confirmed is what was looked at.
"""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from stageapp import vocabulary
from stageapp.admin.confirm import ReasonForm
from stageapp.admin.raw_text import visible
from stageapp.admin.screens import actor, page, require
from stageapp.admin.seal_actions import PAGE, PERMISSION, target_of
from stageapp.normalization import patience, seal
from stageapp.normalization.errors import NormalizationError
from stageapp.normalization.seal_preview import Preview, preview
from stageapp.normalization.seal_survey import Held
from stageapp.normalization.seal_values import MOST_ALLOWED

SHOWN_KNOWN = 50


class SealForm(ReasonForm):
    """Asks why, and brings back which vocabulary version the user has looked at."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)


def seal_view(request: HttpRequest) -> HttpResponse:
    """Preview, then seal."""
    require(request, PERMISSION)
    label, chosen = target_of(request), _chosen(request)
    form = SealForm(request.POST or None, initial={"expected_version": vocabulary.newest_version()})
    try:
        if request.method == "POST" and form.is_valid():
            seal.seal(label, actor=actor(request), how=patience.SHORT, **chosen, **form.cleaned_data)
            messages.success(request, f"Sealed. {label} takes nothing but what was listed.")
            return HttpResponseRedirect(reverse(PAGE))
        found = preview(label, how=patience.SHORT, **chosen)
    except NormalizationError as refusal:
        messages.error(request, str(refusal))
        return HttpResponseRedirect(reverse(PAGE))
    return page(request, "seal_preview.html", **_context(label, found), form=form)


def _chosen(request: HttpRequest) -> dict[str, Any]:
    """Return what the address says may stay; nothing of it was chosen yet where it does not speak of NULL.

    Raises:
        BadRequest: a value is no JSON string.
    """
    if "null" not in request.GET:
        return {"allow": None, "nulls": None}
    try:
        allow = [json.loads(value) for value in request.GET.getlist("allow")]
    except ValueError:
        raise BadRequest("A value in the address is not written as JSON.") from None
    if not all(isinstance(value, str) for value in allow):
        raise BadRequest("A value in the address is no text.")
    return {"allow": allow, "nulls": request.GET["null"] != "refuse"}


def _context(label: str, found: Preview) -> dict[str, Any]:
    return {
        "title": f"Seal {label}", "parent": "Seals", "back": reverse(PAGE), "label": label, "found": found,
        "choices": _choices(found), "most": MOST_ALLOWED,
        "known": [{"one": one, "shown": visible(one.value)} for one in found.survey.known[:SHOWN_KNOWN]],
    }  # fmt: skip


def _choices(found: Preview) -> list[dict[str, Any]]:
    """Return what may be allowed: what is allowed already, then what stands in the column, as far as a list may go."""
    ticked = [_choice(value, None, ticked=True) for value in found.passing.allowed]
    held = {one.value: one for one in found.survey.unknown}  # one value of several sources is one choice
    return [*ticked, *(_choice(value, one, ticked=False) for value, one in list(held.items())[:MOST_ALLOWED])]


def _choice(value: str, one: Held | None, *, ticked: bool) -> dict[str, Any]:
    why = "" if one is None else "a retired stage" if one.retired else one.reason
    return {
        "value": json.dumps(value), "shown": visible(value), "ticked": ticked, "why": why,
        "rows": one.rows if one else None,
    }  # fmt: skip
