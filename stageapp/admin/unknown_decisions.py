"""Decide unknown values, one or several at once: choose, see what it would change, confirm with a reason."""

import re
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from stageapp import vocabulary
from stageapp.admin.curation import CurationForm, carried_out
from stageapp.admin.raw_text import first_example, visible
from stageapp.admin.screens import page, require
from stageapp.admin.unknown_forms import DECISIONS, ChoiceForm, Decision, offered
from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns.decisions import DecisionRefused, why_not
from stageapp.unknowns.preview import preview
from stageapp.unknowns.queue import TRAFFIC_DAYS, queue

QUEUE = "admin:stageapp_unknownentry_changelist"
MOST = 200  # entries of one decision; more of them are a case for the CSV file
_NUMBER = re.compile("[0-9]{1,18}")


@require_GET
def decide_view(request: HttpRequest) -> HttpResponse:
    """Offer the decisions; with one chosen, show what it would change and ask why."""
    require(request, "curate_vocabulary")
    entries, name = chosen(request.GET), request.GET.get("decision", "")
    if not entries:
        return _nothing(request)
    if name not in DECISIONS:
        return _choose(request, entries)
    form = DECISIONS[name].form(request.GET, entries)
    if not form.is_valid():
        return _choose(request, entries, name, form)
    return _preview(request, entries, name, form, CurationForm())


@require_POST
def confirm_view(request: HttpRequest) -> HttpResponse:
    """Carry a decision out, on the vocabulary that was previewed."""
    require(request, "curate_vocabulary")
    entries, name = chosen(request.POST), request.POST.get("decision", "")
    if not entries or name not in DECISIONS:
        return _nothing(request)
    decision = DECISIONS[name]
    form, confirm = decision.form(request.POST, entries), CurationForm(request.POST)
    if not form.is_valid():
        return _choose(request, entries, name, form)
    if confirm.is_valid() and _carried_out(request, entries, decision, form, confirm):
        return HttpResponseRedirect(reverse(QUEUE))
    return _preview(request, entries, name, form, CurationForm.again(confirm))


def chosen(data: QueryDict) -> list[UnknownEntry]:
    """Return the entries that a request names, the greatest impact first; none if one of them is not there."""
    named = set(data.get("entries", "").split(","))
    if len(named) > MOST or not all(_NUMBER.fullmatch(number) for number in named):
        return []
    entries = list(queue(None).filter(pk__in=named))
    return entries if len(entries) == len(named) else []


def numbers(entries: list[UnknownEntry]) -> str:
    """Return the entries as a request names them."""
    return ",".join(str(entry.pk) for entry in entries)


def choices(entries: list[UnknownEntry], wrong: tuple[str, ChoiceForm] | None = None) -> list[dict[str, Any]]:
    """Return the forms to choose by; `wrong` is the one that was not filled in well."""
    forms = {name: decision.form(None, entries) for name, decision in offered(entries).items()}
    forms.update([wrong] if wrong else [])
    return [{"name": name, "decision": DECISIONS[name], "form": form} for name, form in forms.items()]


def _nothing(request: HttpRequest) -> HttpResponse:
    messages.warning(request, "Choose values in the queue first; one that was chosen may be gone by now.")
    return HttpResponseRedirect(reverse(QUEUE))


def _carried_out(
    request: HttpRequest, entries: list[UnknownEntry], decision: Decision, form: ChoiceForm, confirm: CurationForm
) -> bool:
    values = {**form.cleaned_data, **confirm.answers}
    return carried_out(request, decision.perform, DecisionRefused, entries=entries, **values)


def _choose(
    request: HttpRequest, entries: list[UnknownEntry], name: str = "", form: ChoiceForm | None = None
) -> HttpResponse:
    wrong = (name, form) if form else None
    return page(request, "unknown_decide.html", **_frame(entries, "Decide"), choices=choices(entries, wrong))


def _preview(
    request: HttpRequest, entries: list[UnknownEntry], name: str, form: ChoiceForm, confirm: CurationForm
) -> HttpResponse:
    decision, values = DECISIONS[name], form.cleaned_data
    found = preview(entries, **values)
    others = _decidable(entries, values) if found.refused else []
    context = {
        **_frame(entries, "Preview the decision"),
        "decision": decision, "name": name, "values": values, "choice": form, "form": confirm, "preview": found,
        "stage": vocabulary.current().labels.get(values.get("stage", "")),
        "held": [(visible(raw), rows) for raw, rows in found.values],
        "others": others, "others_query": urlencode({"entries": numbers(others), "decision": name, **values}),
    }  # fmt: skip
    return page(request, "unknown_preview.html", **context)


def _decidable(entries: list[UnknownEntry], values: dict[str, str]) -> list[UnknownEntry]:
    return [entry for entry in entries if not why_not(entry, names_stage="stage" in values)]


def _frame(entries: list[UnknownEntry], title: str) -> dict[str, Any]:
    return {
        "title": title, "opts": UnknownEntry._meta, "entries": entries, "numbers": numbers(entries),
        "days": TRAFFIC_DAYS,
        "rows": [{"entry": entry, "value": first_example(entry)} for entry in entries],
    }  # fmt: skip
