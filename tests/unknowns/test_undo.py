"""Decisions taken back: the value means again what it meant before."""

import pytest

from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.unknowns import decisions
from stageapp.unknowns.decisions import DecisionRefused, undo
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import find

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "the fund's own word for it"}


def meaning(raw, source=""):
    found = snapshot.load().normalize(raw, source)
    return found.stage or found.reason


@pytest.mark.parametrize(
    "decide", [lambda e: decisions.map_to(e, "seed", **WHO), lambda e: decisions.ignore(e, **WHO)]
)
def test_undo_opens_the_entry_and_the_value_means_what_it_meant(entry, decide):
    decide([entry("Fondo X")])
    undo([find("Fondo X")], actor="paul", reason="it was not")
    found = find("Fondo X")
    assert (found.state, meaning("Fondo X")) == ("open", "unmapped")
    assert (found.decided_by, found.decided_why) == ("paul", "it was not")


def test_undo_of_a_second_decision_brings_the_first_meaning_back(entry):
    decisions.declare([entry("Fondo X")], "not_a_stage", **WHO)
    decisions.map_to([find("Fondo X")], "seed", **WHO)
    assert meaning("Fondo X") == "seed"
    undo([find("Fondo X")], **WHO)
    assert meaning("Fondo X") == "not_a_stage"


def test_undo_of_one_entry_leaves_the_others_of_its_version(entry):
    entry("Fondo X", "Fondo Y")
    decisions.map_to(UnknownEntry.objects.all(), "seed", **WHO)
    undo([find("Fondo X")], **WHO)
    assert (meaning("Fondo X"), meaning("Fondo Y")) == ("unmapped", "seed")


def test_undo_does_not_overwrite_what_another_hand_changed_since(entry):
    decisions.map_to([entry("Fondo X")], "seed", **WHO)
    with snapshot.change(**WHO):
        StageAlias.objects.filter(key="fondo x").update(stage=Stage.objects.get(slug="growth"))
    with pytest.raises(DecisionRefused, match="changed since"):
        undo([find("Fondo X")], **WHO)
    assert meaning("Fondo X") == "growth"


def test_what_was_never_decided_cannot_be_undone(entry):
    chosen = entry("Fondo X")
    with pytest.raises(DecisionRefused, match="No decision about"):
        undo([chosen], **WHO)
