"""Decide unknown values, singly or together: choose, preview, confirm with a reason."""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_POST

from stageapp.admin.actions import Action
from stageapp.admin.screens import page, require
from stageapp.admin.vocabulary_versions import CurationForm, carried_out
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount, UnknownEntry
from stageapp.models.vocabulary import REASON_CHOICES, Stage
from stageapp.unknowns import decisions
from stageapp.unknowns.decisions import SHOWN_VALUES, DecisionRefused, preview, undo, why_not
from stageapp.unknowns.examples import first_example, visible
from stageapp.unknowns.queue import TRAFFIC_DAYS, queue, suggestions
from stageapp.vocabulary import snapshot

# What the list of the queue shows beside each entry, read for a whole page of it at once.

SHOWN_PLACES = 2

Where = tuple[str, int]  # who or what brought it, and how often


class QueueList(ChangeList):
    """A page of the queue; each entry carries its sources and suggestions."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, then its entries' sources and suggestions in two more queries."""
        super().get_results(request)
        entries: list[Any] = list(self.result_list)
        places, meanings = where(entries), snapshot.current()
        for entry in entries:
            entry.where = places[entry.key]
            entry.suggested = suggestions(entry, meanings)
        self.result_list = entries


def where(entries: Sequence[UnknownEntry]) -> dict[str, list[Where]]:
    """Return for each key the consumers, imports and targets it came from, most frequent first."""
    places: dict[str, list[Where]] = defaultdict(list)
    counts = UnknownCount.objects.filter(entry__in=entries).order_by()
    sent = ConsumerSighting.objects.filter(
        key__in=[entry.key for entry in entries], outcome="unknown"
    ).order_by()
    groups = [
        counts.values_list("entry__key", "kind", "place", "source").annotate(total=Sum("count")),
        sent.values_list("key", "consumer").annotate(total=Sum("count")),
    ]
    for key, *names, total in (row for group in groups for row in group):
        places[key].append((" ".join(dict.fromkeys(filter(None, names))), total))
    for known in places.values():
        known.sort(key=lambda place: -place[1])
    return places


def sources_of(entries: Sequence[UnknownEntry]) -> list[str]:
    """Return the consumers and imports that sent these values; an alias may belong to one."""
    keys = [entry.key for entry in entries]
    consumers = (
        ConsumerSighting.objects.filter(key__in=keys).values_list("consumer", flat=True).distinct()
    )
    counted = (
        UnknownCount.objects.filter(entry__in=entries)
        .exclude(source="")
        .values_list("source", flat=True)
    )
    return sorted({*consumers.order_by(), *counted.order_by().distinct()})


# What a person may decide about unknown values: one table, from which forms, previews and changes
# come.


class ChoiceForm(forms.Form):
    """Chooses a decision; sent by GET, changes nothing."""

    def __init__(self, data: QueryDict | None, entries: Sequence[UnknownEntry]) -> None:
        super().__init__(data, auto_id=f"id_{type(self).__name__}_%s")
        if "source" in self.fields:
            everybody = ("", "everybody")
            offered = [everybody, *((name, f"only {name}") for name in sources_of(entries))]
            self.fields["source"] = forms.ChoiceField(
                choices=offered, required=False, label="Holds for"
            )


class MapForm(ChoiceForm):
    """Chooses the stage that the values mean."""

    stage = forms.ChoiceField()
    source = forms.ChoiceField()

    def __init__(self, data: QueryDict | None, entries: Sequence[UnknownEntry]) -> None:
        super().__init__(data, entries)
        stages = Stage.objects.filter(active=True).values_list("slug", "label")
        self.fields["stage"] = forms.ChoiceField(choices=[("", "choose …"), *stages])


class DeclareForm(ChoiceForm):
    """Chooses the reason why it is not a stage."""

    code = forms.ChoiceField(choices=[("", "choose …"), *REASON_CHOICES], label="Because")
    source = forms.ChoiceField()


@dataclass(frozen=True)
class Decision(Action[Sequence[UnknownEntry]]):
    """An action on entries of the queue; `choice` asks what is decided, before the preview."""

    title: str = ""
    choice: type[ChoiceForm] = ChoiceForm


def _decision(
    label: str,
    title: str,
    perform: Callable[..., object],
    explanation: str,
    choice: type[ChoiceForm] = ChoiceForm,
    refusal: Callable[[Sequence[UnknownEntry], str], str] = lambda entries, name: "",
) -> Decision:
    return Decision(
        label,
        "curate_vocabulary",
        perform,
        explanation,
        "",
        DecisionRefused,
        refusal,
        title=title,
        choice=choice,
    )


DECISIONS: dict[str, Decision] = {
    "map": _decision(
        "Map",
        "Map to a stage",
        decisions.map_to,
        "Every value that differs only in formatting maps to this stage from now on. "
        "Stored rows change only when a run with a new plan rewrites them.",
        MapForm,
    ),
    "declare": _decision(
        "Declare",
        "Not a stage",
        decisions.declare,
        "It stays unknown, with this reason in every response and plan, and leaves the open queue.",
        DeclareForm,
    ),
    "ignore": _decision(
        "Ignore",
        "Ignore it",
        decisions.ignore,
        "It stays unknown and is still counted, but leaves the open queue. The "
        "vocabulary does not change.",
    ),
    "undo": _decision(
        "Undo",
        "Undo the decision",
        undo,
        "The newest decision made here is undone: the value means again what it meant before.",
        refusal=lambda entries, name: (
            ""
            if all(entry.ignored or entry.version_id for entry in entries)
            else "Nothing has been decided about these values."
        ),
    ),
}


QUEUE = "admin:stageapp_unknownentry_changelist"
MOST = 200  # entries of one decision; more of them are a case for the CSV file
_NUMBER = re.compile("[0-9]{1,18}")


@require_GET
def decide_view(request: HttpRequest) -> HttpResponse:
    """Offer the decisions; for a chosen one, show what it would change and ask for a reason."""
    require(request, "curate_vocabulary")
    entries, name = chosen(request.GET), request.GET.get("decision", "")
    if not entries:
        return _nothing(request)
    if name not in DECISIONS:
        return _choose(request, entries)
    form = DECISIONS[name].choice(request.GET, entries)
    if not form.is_valid():
        return _choose(request, entries, name, form)
    return _preview(request, entries, name, form, CurationForm())


@require_POST
def confirm_view(request: HttpRequest) -> HttpResponse:
    """Carry out a decision on the vocabulary that was previewed."""
    require(request, "curate_vocabulary")
    entries, name = chosen(request.POST), request.POST.get("decision", "")
    if not entries or name not in DECISIONS:
        return _nothing(request)
    decision = DECISIONS[name]
    form, confirm = decision.choice(request.POST, entries), CurationForm(request.POST)
    if not form.is_valid():
        return _choose(request, entries, name, form)
    if confirm.is_valid() and carried_out(
        request,
        decision.perform,
        decision.refused_by,
        entries=entries,
        **confirm.answers,
        **form.cleaned_data,
    ):
        return HttpResponseRedirect(reverse(QUEUE))
    return _preview(request, entries, name, form, CurationForm.again(confirm))


def chosen(data: QueryDict) -> list[UnknownEntry]:
    """Return the requested entries, greatest impact first; none if any of them does not exist."""
    named = set(data.get("entries", "").split(","))
    if len(named) > MOST or not all(_NUMBER.fullmatch(number) for number in named):
        return []
    entries = list(queue(None).filter(pk__in=named))
    return entries if len(entries) == len(named) else []


def numbers(entries: list[UnknownEntry]) -> str:
    """Return the entries as a request parameter."""
    return ",".join(str(entry.pk) for entry in entries)


def choices(
    entries: list[UnknownEntry], wrong: tuple[str, ChoiceForm] | None = None
) -> list[dict[str, Any]]:
    """Return the decision forms; `wrong` is the one with errors."""
    forms = {
        name: decision.choice(None, entries)
        for name, decision in DECISIONS.items()
        if not decision.refusal(entries, "")
    }
    forms.update([wrong] if wrong else [])
    return [
        {"name": name, "decision": DECISIONS[name], "form": form} for name, form in forms.items()
    ]


def _nothing(request: HttpRequest) -> HttpResponse:
    messages.warning(
        request, "Choose values in the queue first; a value you chose may no longer be there."
    )
    return HttpResponseRedirect(reverse(QUEUE))


def _choose(
    request: HttpRequest,
    entries: list[UnknownEntry],
    name: str = "",
    form: ChoiceForm | None = None,
) -> HttpResponse:
    wrong = (name, form) if form else None
    return page(
        request, "unknown_decide.html", **_frame(entries, "Decide"), choices=choices(entries, wrong)
    )


def _preview(
    request: HttpRequest,
    entries: list[UnknownEntry],
    name: str,
    form: ChoiceForm,
    confirm: CurationForm,
) -> HttpResponse:
    decision, values = DECISIONS[name], form.cleaned_data
    effect = preview(entries, **values)
    others = (
        [entry for entry in entries if not why_not(entry, names_stage="stage" in values)]
        if effect.refused
        else []
    )
    context = {
        **_frame(entries, "Preview the decision"),
        "decision": decision,
        "name": name,
        "values": values,
        "choice": form,
        "form": confirm,
        "preview": effect,
        "stage": snapshot.current().labels.get(values.get("stage", "")),
        "held": [(visible(raw), rows) for raw, rows in effect.values],
        "most": SHOWN_VALUES,
        "others": others,
        "others_query": urlencode({"entries": numbers(others), "decision": name, **values}),
    }
    return page(request, "unknown_preview.html", **context)


def _frame(entries: list[UnknownEntry], title: str) -> dict[str, Any]:
    return {
        "title": title,
        "opts": UnknownEntry._meta,
        "entries": entries,
        "numbers": numbers(entries),
        "days": TRAFFIC_DAYS,
        "rows": [{"entry": entry, "value": first_example(entry)} for entry in entries],
    }
