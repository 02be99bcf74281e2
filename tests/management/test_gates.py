"""`manage.py gates` and `manage.py rollout`: what they print, and their exit codes."""

import json

import pytest
from django.core.management import CommandError, call_command

from stageapp.mode import store
from stageapp.models.rollout import ConsumerAudit, ConsumerPin, WarnPeriod
from stageapp.rollout.gates.judging import RULES

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(capsys):
    """Return a function that runs a command; it returns what was printed, and the refusal or an
    empty text.
    """

    def call(*arguments):
        try:
            call_command(*arguments)
            said = ""
        except CommandError as refusal:
            said = str(refusal)
        return capsys.readouterr().out, said

    return call


@pytest.fixture
def set_mode():
    return lambda mode, percent=100, **more: store.change(
        mode=mode, percent=percent, actor="t", reason="a test", **more
    )


def test_every_gate_stands_there_with_threshold_value_and_verdict(run, set_mode):
    set_mode("warn")
    printed, refusal = run("gates", "--json")
    document = json.loads(printed)
    assert [gate["name"] for gate in document["gates"]] == list(RULES)
    for gate in document["gates"]:
        assert {
            "threshold",
            "value",
            "verdict",
            "conditions",
            "evidence",
            "needed_next",
        } <= gate.keys()
        assert gate["verdict"] in ("pass", "fail", "no_data")
    assert document["next_step"] == {
        "text": "enforce at 10 %",
        "mode": "enforce",
        "percent": 10,
        "needs": ["run_complete", "consumers_audited", "warn_exit"],
        "held_back_by": ["run_complete", "consumers_audited", "warn_exit"],
    }
    assert refusal == (
        "The next step, enforce at 10 %, is blocked by: run_complete, consumers_audited, warn_exit."
    )


def test_exit_0_where_nothing_needed_next_holds_back(run, set_mode):
    set_mode("off")
    printed, refusal = run("gates")
    assert refusal == ""
    assert "Next: warn. Nothing blocks it." in printed
    assert "NO DATA canary_10" in printed  # not needed next


def test_the_lines_for_people_tell_what_was_measured_and_what_is_needed(run, set_mode):
    set_mode("enforce", 10)
    printed, refusal = run("gates")
    assert "Phase: enforce up to 10 %, since " in printed
    assert "FAIL    canary_10: Enforcement may grow beyond 10 %  <- needed next" in printed
    assert "needed at least 2 h at 10 %" in printed
    assert "NO DATA verified_backup" in printed
    assert "canary_10" in refusal


def test_a_latch_is_told(run, set_mode):
    set_mode("enforce")
    set_mode("warn", kind="downgrade")
    assert "Latched" in run("gates")[0]
    assert json.loads(run("gates", "--json")[0])["latched"] is True


# --- rollout


def test_marks_are_recorded_under_the_name_of_who_typed_them(run, set_mode):
    set_mode("warn")
    assert run("rollout", "warn-period", "--reason", "told again") == (
        "A new warn period has started.\n",
        "",
    )
    run("rollout", "audited", "--reason", "asked them all")
    assert WarnPeriod.objects.get().actor.startswith("cli:")
    assert ConsumerAudit.objects.get().reason == "asked them all"


@pytest.mark.parametrize("mode", ["off", "enforce", None])
def test_a_warn_period_begins_in_warn_alone(mode, run, set_mode):
    if mode:
        set_mode(mode)
    assert "Set warn first" in run("rollout", "warn-period", "--reason", "why")[1]
    assert not WarnPeriod.objects.exists()


def test_a_consumer_is_pinned_and_the_members_show_it(run, set_mode, consumer):
    set_mode("enforce", 10)
    run("rollout", "pin", "alpha", "in", "--reason", "they asked for it")
    assert ConsumerPin.objects.get().place == "in"
    printed, _ = run("rollout", "members")
    assert printed.startswith(
        "enforce      0 %  alpha (bucket 53, pinned in)\nEnforced: no values were sent yesterday"
    )
    document = json.loads(run("rollout", "members", "--percent", "60", "--json")[0])
    assert document["members"][0]["consumer"] == "alpha"
    assert document["share"] is None


def test_steps_are_planned_shown_and_cancelled(run, set_mode):
    set_mode("enforce", 10)
    printed, refusal = run("rollout", "plan", "--reason", "green only")
    assert refusal == ""
    assert [line.split(",")[0] for line in printed.splitlines()] == [
        "enforce 50 %",
        "enforce 100 %",
    ]
    assert json.loads(run("rollout", "proposals", "--json")[0])["steps"][0]["status"] == "waiting"
    assert run("rollout", "cancel-plan")[0] == "2 planned steps were cancelled.\n"
    assert run("rollout", "proposals")[0] == "Nothing waits.\n"
    assert "No planned step" in run("rollout", "approve-plan")[1]


def test_a_proposal_cannot_be_approved_by_the_same_user(run, set_mode, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    set_mode("warn")
    number = str(
        json.loads(run("rollout", "propose", "10", "--reason", "time", "--json")[0])["proposal"]
    )
    assert "cannot approve it" in run("rollout", "approve", number)[1]
    assert run("rollout", "withdraw", number)[1] == ""
    assert "There is no proposal 999" in run("rollout", "approve", "999")[1]
    assert store.latest().mode == "warn"
