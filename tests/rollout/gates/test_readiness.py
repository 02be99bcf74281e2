"""The gates that ask what people and runs have done."""

import re

import pytest

from stageapp.audit.proof import Doubt, Proof, Remedy
from stageapp.conf import gates
from stageapp.mode.history import ModeHistory
from stageapp.rollout.gates import readiness
from stageapp.rollout.gates.judging import RULES, judge
from stageapp.rollout.gates.measures import AuditFact, BackupFact, Measurements
from stageapp.rollout.gates.verdicts import Condition, Gate, Verdict
from stageapp.rollout.moves import ARROWS, FOR_A_RUN, FOR_THE_END
from tests.rollout.gates.measured import (
    DAY,
    HOUR,
    MINUTE,
    NOW,
    enforced_for,
    half_an_hour,
    judged,
    measured,
    week,
)


def proof(*doubts, target="a.B.c"):
    """Return a proof with these doubts: "no" speaks against it, "?" is where nobody has looked
    yet.
    """
    against = [Doubt(f"Doubt {sign}.", Remedy.VERIFY, missing=sign == "?") for sign in doubts]
    return Proof(target, NOW, None, None, None, tuple(against))


@pytest.mark.parametrize(
    "proofs, verdict",
    [
        ([proof()], "pass"),
        ([proof("no")], "fail"),
        ([proof("no", "?")], "fail"),
        ([proof("?")], "no_data"),
        ([proof(), proof("?", target="d.E.f")], "no_data"),
        ([proof("?", target="d.E.f"), proof("no")], "fail"),
        ([], "no_data"),
    ],
)
def test_of_every_target_it_has_to_be_proved_that_its_rows_are_normalized(proofs, verdict):
    assert judged(readiness.run_complete, proofs=proofs).verdict == verdict


def test_the_gate_says_what_it_asks_for_and_why_it_does_not_pass():
    gate = judged(readiness.run_complete, proofs=[proof("no", "?")])
    assert gate.deciding.shown == "does not stand"
    assert gate.deciding.why == "Doubt no. Doubt ?."
    assert (
        "verified since the last change, and no drift in the last 2 min" in gate.deciding.threshold
    )
    assert gate.document()["evidence"]["proofs"][0]["reasons"] == ["Doubt no.", "Doubt ?."]


@pytest.mark.parametrize(
    "ago, verdict",
    [(7 * DAY, "pass"), (7 * DAY + MINUTE, "fail"), (MINUTE, "pass"), (None, "no_data")],
)
def test_the_audit_of_consumers_has_to_be_fresh(ago, verdict):
    audit = AuditFact("ann", NOW - ago) if ago else None
    gate = judged(readiness.consumers_audited, audit=audit, still_unknown=["late"])
    assert gate.verdict == verdict
    assert gate.evidence == {"still_send_unknown": ["late"]}


@pytest.mark.parametrize(
    "ago, verdict",
    [
        (HOUR, "pass"),
        (HOUR + MINUTE, "fail"),
        (None, "no_data"),
        (-MINUTE, "pass"),
        (-MINUTE * 1.1, "fail"),
    ],
)
def test_the_data_of_the_verified_backup_is_at_most_an_hour_old(ago, verdict):
    backup = BackupFact(taken_at=NOW - ago) if ago else None
    assert judged(readiness.verified_backup, backup=backup).verdict == verdict


@pytest.mark.parametrize(
    "backup, verdict, why",
    [
        (None, "no_data", "no restore was rehearsed"),
        (BackupFact(NOW), "no_data", "no restore was rehearsed"),
        (BackupFact(NOW, schema_changed=True), "fail", "the schema has changed"),
        (BackupFact(NOW, NOW, rehearsal_failed=True), "fail", "the newest rehearsal failed"),
    ],
)
def test_a_rehearsal_has_to_have_passed_with_the_schema_of_today(backup, verdict, why):
    gate = judged(readiness.rehearsal, backup=backup)
    assert gate.verdict == verdict
    assert gate.deciding.why.startswith(why)
    assert judged(readiness.rehearsal).verdict == "pass"


def test_with_nothing_measured_no_gate_passes():
    found = judge(Measurements(now=NOW, mode=ModeHistory()), gates())
    assert found.keys() == RULES.keys()
    # `done` has nobody pinned out, and no time at 100 % either.
    assert {gate.verdict for gate in found.values()} == {Verdict.NO_DATA}


def test_every_gate_holds_something_back():
    used = {name for arrow in ARROWS.values() for name in arrow.gates}
    assert used | {*FOR_A_RUN, *FOR_THE_END} == RULES.keys()


@pytest.mark.parametrize(
    "verdicts, verdict",
    [("pp", "pass"), ("pn", "no_data"), ("nf", "fail"), ("fp", "fail"), ("n", "no_data")],
)
def test_a_gate_is_as_good_as_the_worst_of_its_conditions(verdicts, verdict):
    meaning = {"p": Verdict.PASS, "f": Verdict.FAIL, "n": Verdict.NO_DATA}
    gate = Gate("g", "G", tuple(Condition(letter, "1", 1, meaning[letter]) for letter in verdicts))
    assert gate.verdict == verdict
    assert gate.passes == (verdict == "pass")
    assert gate.document()["verdict"] == verdict


@pytest.mark.parametrize(
    "condition, shown",
    [
        (Condition("dwell", "at least 2 h", 0.0004365, Verdict.FAIL, unit="hours"), "1.6 s"),
        (Condition("backup", "at most 1 h", 0.1225, Verdict.PASS, unit="hours"), "7 min 21 s"),
        (Condition("audit", "at most 7 d", 2.26, Verdict.PASS, unit="days"), "2 d 6 h"),
        (Condition("unknown", "< 0.5 %", 0.4365, Verdict.PASS, unit="percent"), "0.44 %"),
        (Condition("requests", "at least 1", 12345, Verdict.PASS), "12,345"),
        (Condition("rehearsal", "passed", "failed", Verdict.FAIL), "failed"),
        (Condition("backup", "at most 1 h", None, Verdict.NO_DATA, unit="hours"), "no data"),
    ],
)
def test_a_measured_value_is_shown_as_people_say_it(condition, shown):
    assert condition.shown == shown


def test_no_gate_shows_a_bare_fraction():
    """Whatever its value, a condition that is measured in parts of something says of what."""
    found = measured(
        mode=enforced_for(3.0004365),
        days=week(unknown=1),
        minutes=half_an_hour(unknown=3, errors=1),
        backup=BackupFact(NOW - 0.1225 * HOUR, NOW - 1.26 * DAY),
        audit=AuditFact("ann", NOW - 2.26 * DAY),
    )
    shown = [it for gate in judge(found, gates()).values() for it in gate.conditions]
    bare = {it.name: it.shown for it in shown if isinstance(it.value, float) and not it.unit}
    assert bare == {}
    assert not [it.shown for it in shown if re.fullmatch(r"-?[0-9.e+-]*\.[0-9]+", it.shown)]
    assert {it.title for it in shown}.isdisjoint(
        {"dwell", "unknown_by_hour", "pinned_out", "time_in_warn"}
    )


def test_a_gate_for_json_has_the_number_and_its_unit():
    document = judged(readiness.verified_backup, backup=BackupFact(NOW - HOUR / 2)).document()
    assert (document["value"], document["unit"]) == (0.5, "hours")
    assert document["conditions"][0]["unit"] == "hours"


def test_a_refusal_names_the_condition_in_words():
    gate = judged(readiness.verified_backup, backup=BackupFact(NOW - 30 * HOUR))
    assert str(gate) == (
        "verified_backup (fail: age of the newest verified backup 30 h, needed verified, at most 1 h old)"
    )
