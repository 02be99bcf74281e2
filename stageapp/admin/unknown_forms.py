"""What a person may decide about unknown values: one table, from which forms, previews and changes come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict

from stageapp.admin.unknown_rows import sources_of
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import REASON_CHOICES, Stage
from stageapp.unknowns import decisions
from stageapp.unknowns.undo import undo


class ChoiceForm(forms.Form):
    """Chooses what to decide; sent by GET, changes nothing."""

    def __init__(self, data: QueryDict | None, entries: Sequence[UnknownEntry]) -> None:
        """Offer the choices that these entries have."""
        super().__init__(data, auto_id=f"id_{type(self).__name__}_%s")
        if "source" in self.fields:
            everybody = ("", "everybody")
            offered = [everybody, *((name, f"only {name}") for name in sources_of(entries))]
            self.fields["source"] = forms.ChoiceField(choices=offered, required=False, label="Holds for")


class MapForm(ChoiceForm):
    """Chooses a stage."""

    stage = forms.ChoiceField()
    source = forms.ChoiceField()

    def __init__(self, data: QueryDict | None, entries: Sequence[UnknownEntry]) -> None:
        """Offer the active stages."""
        super().__init__(data, entries)
        stages = Stage.objects.filter(active=True).values_list("slug", "label")
        self.fields["stage"] = forms.ChoiceField(choices=[("", "choose …"), *stages])


class DeclareForm(ChoiceForm):
    """Chooses why it is no stage."""

    code = forms.ChoiceField(choices=[("", "choose …"), *REASON_CHOICES], label="Because")
    source = forms.ChoiceField()


@dataclass(frozen=True)
class Decision:
    """One thing to decide. `perform` takes the entries, what the form chose, the actor and the reason."""

    label: str
    explanation: str
    form: type[ChoiceForm]
    perform: Callable[..., Any]
    button: str


DECISIONS: dict[str, Decision] = {
    "map": Decision(
        "It means a stage",
        "Every value that is the same but for formatting means this stage from now on. "
        "Stored rows change only when a run with a new plan rewrites them.",
        MapForm, decisions.map_to, "Map",
    ),
    "declare": Decision(
        "It is no stage",
        "It stays unknown, with this reason in every answer and plan, and leaves the open queue.",
        DeclareForm, decisions.declare, "Declare",
    ),
    "ignore": Decision(
        "Ignore it",
        "It stays unknown and is counted on, out of the open queue. The vocabulary does not change.",
        ChoiceForm, decisions.ignore, "Ignore",
    ),
    "undo": Decision(
        "Take the decision back",
        "The newest decision made here is undone: it means again what it meant before.",
        ChoiceForm, undo, "Undo",
    ),
}  # fmt: skip


def offered(entries: Sequence[UnknownEntry]) -> dict[str, Decision]:
    """Return what can be decided about these entries: nothing can be undone where nothing was decided."""
    decided = all(entry.ignored or entry.version_id for entry in entries)
    return {name: decision for name, decision in DECISIONS.items() if decided or name != "undo"}
