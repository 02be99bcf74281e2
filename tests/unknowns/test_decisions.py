"""Decisions of a person: what they change, what they refuse, and how they are taken back."""

import pytest

from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.unknowns import decisions, records
from stageapp.unknowns.decisions import DecisionRefused
from stageapp.unknowns.queue import queue
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import find

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "the fund's own word for it"}


def meaning(raw, source=""):
    found = snapshot.load().normalize(raw, source)
    return found.stage or found.reason


def open_keys():
    return sorted(entry.key for entry in queue())


def test_a_mapped_value_leaves_the_open_queue_and_the_next_value_with_its_key_is_known(entry):
    chosen = entry("Fondo X", "Fondo Y")
    version = decisions.map_to([chosen], "seed", **WHO)
    assert open_keys() == ["fondo y"]
    assert find("Fondo X").state == "mapped"
    assert meaning("  FONDO-x ") == "seed"
    assert records.record_import("another file", {"fondo_x": 7}) == 0
    assert (version.actor, version.reason, len(version.diff["aliases"]["added"])) == (
        *WHO.values(),
        1,
    )


def test_a_process_sees_the_decision_at_its_next_reading(entry, django_capture_on_commit_callbacks):
    chosen = entry("Fondo X")
    assert snapshot.normalize("Fondo X").stage is None
    with django_capture_on_commit_callbacks(execute=True):
        decisions.map_to([chosen], "seed", **WHO)
    assert snapshot.normalize("Fondo X").stage == "seed"


def test_several_are_decided_in_one_version(entry):
    entry("Fondo X", "Fondo Y", "Fondo Z")
    before = VocabularyVersion.objects.count()
    version = decisions.map_to(UnknownEntry.objects.all(), "series_b", **WHO)
    assert VocabularyVersion.objects.count() == before + 1
    assert {row["key"] for row in version.diff["aliases"]["added"]} == {
        "fondo x",
        "fondo y",
        "fondo z",
    }
    assert open_keys() == []


def test_the_alias_is_spelled_as_the_value_was_first_written(entry):
    decisions.map_to([entry("Fondo  X")], "seed", **WHO)
    alias = StageAlias.objects.get(key="fondo x")
    assert (alias.spelling, alias.comment) == ("Fondo  X", WHO["reason"])


def test_a_declared_value_is_unknown_for_the_reason_given_and_out_of_the_open_queue(entry):
    decisions.declare([entry("Fondo X")], "not_a_stage", **WHO)
    assert meaning("fondo x") == "not_a_stage"
    assert find("Fondo X").state == "declared"
    records.record_import("another file", {"fondo x": 2})
    assert (find("Fondo X").state, find("Fondo X").reason) == ("declared", "not_a_stage")


def test_an_ignored_value_stays_unknown_is_counted_on_and_stays_out_of_the_open_queue(entry):
    decisions.ignore([entry("Fondo X")], **WHO)
    assert (find("Fondo X").state, meaning("Fondo X")) == ("ignored", "unmapped")
    assert records.record_import("a file", {"Fondo X": 4}) == 4
    assert open_keys() == []
    assert queue("ignored").get().imported == 5
    assert find("Fondo X").decided_by == "petra"


def test_an_alias_made_elsewhere_closes_the_entry_and_its_removal_opens_it(entry):
    entry("Fondo X")
    with snapshot.change(**WHO):
        StageAlias.objects.create(
            spelling="Fondo X", key="fondo x", stage=Stage.objects.get(slug="seed")
        )
    assert find("Fondo X").state == "mapped"
    with snapshot.change(**WHO):
        StageAlias.objects.get(key="fondo x").delete()
    assert find("Fondo X").state == "open"


def test_an_alias_of_a_stage_that_is_not_active_decides_nothing(entry):
    decisions.map_to([entry("Fondo X")], "seed", **WHO)
    Stage.objects.filter(slug="seed").update(active=False)
    assert find("Fondo X").state == "open"


def test_a_decision_for_one_source_leaves_the_entry_open_while_another_source_sends_it(entry, sent):
    entry("Fondo X", place="alpha", source="alpha")
    sent("Fondo X", consumer="beta")
    decisions.map_to([find("Fondo X")], "growth", source="alpha", **WHO)
    assert (meaning("Fondo X", "alpha"), meaning("Fondo X", "beta")) == ("growth", "unmapped")
    assert find("Fondo X").state == "open"
    decisions.declare([find("Fondo X")], "not_a_stage", source="beta", **WHO)
    assert find("Fondo X").state == "mapped"
    sent("Fondo X", consumer="gamma")
    assert find("Fondo X").state == "open"


def test_a_rule_that_reads_several_stages_is_never_overruled(entry):
    chosen = entry("Series A or B")
    with pytest.raises(DecisionRefused, match="multiple_stages"):
        decisions.map_to([chosen], "series_a", **WHO)
    assert StageAlias.objects.filter(key=chosen.key).count() == 0


@pytest.mark.parametrize("raw", ["", "\x00", "\ud800"])
def test_what_has_no_key_can_only_be_ignored(entry, raw):
    chosen = entry(raw)
    with pytest.raises(DecisionRefused, match="ignore it instead"):
        decisions.map_to([chosen], "seed", **WHO)
    with pytest.raises(DecisionRefused, match="ignore it instead"):
        decisions.declare([chosen], "junk", **WHO)
    assert decisions.ignore([chosen], **WHO) == 1


def test_one_refused_value_stops_the_others_too(entry):
    entry("Fondo X", "Series A or B")
    with pytest.raises(DecisionRefused):
        decisions.map_to(UnknownEntry.objects.all(), "seed", **WHO)
    assert len(open_keys()) == 2


def test_wrong_words_are_refused_with_the_right_ones(entry):
    chosen = entry("Fondo X")
    with pytest.raises(DecisionRefused, match="series_e_plus"):
        decisions.map_to([chosen], "Series A", **WHO)
    with pytest.raises(DecisionRefused, match="exit_status"):
        decisions.declare([chosen], "debt", **WHO)
    with pytest.raises(DecisionRefused, match="say why"):
        decisions.ignore([chosen], actor="petra", reason="  ")
    with pytest.raises(DecisionRefused, match="Nothing is selected"):
        decisions.ignore([], **WHO)
    assert not VocabularyVersion.objects.filter(actor="petra").exists()


def test_a_suggestion_is_never_applied_by_itself(entry):
    chosen = entry("Sereis B")
    assert meaning("Sereis B") == chosen.reason
    for _ in range(20):
        records.record_import("a file", {"Sereis B": 1000})
    assert (find("Sereis B").state, meaning("Sereis B")) == ("open", chosen.reason)
