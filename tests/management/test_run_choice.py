"""Which run a command without a number takes, and the question that a rollback asks first."""

import os
import pty
import subprocess

import pytest
from django.core.management import CommandError

from stageapp.audit import rollbacks
from stageapp.models import Run
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from tests.management.in_process import call, call_json
from tests.normalization.conftest import (  # noqa: F401
    done,
    engine,
    fill,
    started,
    transactional_db,
)
from tests.normalization.evidence import LABEL, ME, column_md5
from tests.normalization.processes import MANAGE, ROOT, database_url, manage, state_of

# ruff: noqa: F811  fixtures are used under the names they are imported by

OTHER = "stageapp.Fund.name"
VERBS = ["status", "pause", "resume", "cancel", "tune", "verify", "throttle", "rollback"]


@pytest.fixture
def two_targets(settings, engine):
    settings.STAGE_TARGETS = [LABEL, OTHER]


def of_other(state):
    """Return a run of the other target, as if it were in this state."""
    run = plans.make_plan(OTHER, actor="tester").run
    Run.objects.filter(pk=run.pk).update(state=state)
    run.refresh_from_db()
    return run


def refusal(*arguments):
    with pytest.raises(CommandError) as refused:
        call(*arguments)
    return refused.value.returncode, str(refused.value)


@pytest.mark.parametrize("verb", VERBS)
def test_with_several_targets_and_nothing_at_work_it_asks_which(verb, two_targets, done):
    run = done("Seed")
    of_other(State.DONE)
    code, said = refusal(verb)
    assert code == 2
    assert f"No run is active, and there are several targets: {OTHER}, {LABEL}." in said
    assert "Choose one with --target or by a run's number" in said
    assert state_of(run) == State.DONE


@pytest.mark.parametrize("verb", VERBS)
def test_with_two_runs_at_work_it_names_both(verb, two_targets, started):
    mine, other = started("Seed"), of_other(State.PAUSED)
    code, said = refusal(verb)
    assert code == 2
    assert f"run {mine.pk} of {LABEL} (running)" in said
    assert f"run {other.pk} of {OTHER} (paused)" in said
    assert (state_of(mine), state_of(other)) == (State.RUNNING, State.PAUSED)


def test_a_rollback_beside_a_run_at_work_asks_for_the_number(done, started):
    first = done("Seed")
    second = started("SEED")
    code, said = refusal("rollback", "--yes")
    assert (code, f"The active run is run {second.pk} of {LABEL} (running)" in said) == (2, True)
    assert state_of(first) == State.DONE


@pytest.mark.parametrize("verb", ["status", "throttle"])
def test_the_run_at_work_is_meant_though_a_newer_plan_waits(verb, started):
    run = started("Seed")
    plans.make_plan(LABEL, actor="tester")
    assert call_json(verb)["run" if verb == "throttle" else "id"] == run.pk


def test_with_a_target_its_run_is_meant(two_targets, done):
    run = done("Seed")
    of_other(State.DONE)
    assert call_json("status", "--target", LABEL)["id"] == run.pk
    assert call_json("verify", "--target", LABEL)["ok"]
    assert call_json("throttle", "--target", LABEL)["run"] == run.pk
    back = call_json("rollback", "--target", LABEL, "--yes", "--foreground")
    assert (back["id"], back["state"]) == (run.pk, "rolled_back")


def test_only_the_run_at_work_of_the_target_is_stopped(two_targets, started):
    mine, other = started("Seed"), of_other(State.RUNNING)
    assert call_json("pause", "--target", LABEL)["state"] == "paused"
    assert call_json("resume", "--target", LABEL)["state"] == "running"
    assert call_json("tune", "--target", LABEL, "--workers", "2")["max_workers"] == 2
    assert call_json("cancel", "--target", LABEL)["state"] == "cancelled"
    assert (state_of(mine), state_of(other)) == (State.CANCELLED, State.RUNNING)


def test_a_number_and_another_target_contradict_each_other(two_targets, done):
    run = done("Seed")
    code, said = refusal("status", str(run.pk), "--target", OTHER)
    assert (code, f"Run {run.pk} belongs to {LABEL}, not to {OTHER}" in said) == (2, True)


@pytest.mark.parametrize("verb", ["plan", "preflight", "seal", "unseal", "guard"])
def test_what_works_on_a_target_asks_which_too(verb, two_targets):
    code, said = refusal(*(["guard", "status"] if verb == "guard" else [verb]))
    assert (code, "Choose a target with --target" in said) == (2, True)


def test_verify_passes_a_plan_that_has_not_begun(done):
    done("Seed")
    plans.make_plan(LABEL, actor="tester")
    assert call_json("verify")["entries"] == 1


def test_the_command_line_exits_2_when_it_is_not_clear_which(two_targets, done):
    done("Seed")
    code, out, err = manage("normalization", "status", "--json", STAGE_TARGETS=f"{LABEL},{OTHER}")
    assert (code, out) == (2, "")
    assert "several targets" in err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_a_terminal_a_rollback_has_to_be_told_yes(options, done):
    run = done("Seed")
    code, out, err = manage("normalization", "rollback", "--foreground", *options)
    assert (code, out) == (1, "")
    assert (
        f"Rolling back run {run.pk} of {LABEL} needs confirmation, and there is no terminal" in err
    )
    assert "Check with --dry-run first, then add --yes." in err
    assert state_of(run) == State.DONE


def test_a_rollback_that_was_begun_goes_on_without_a_question(done):
    run = done("Seed")
    call("rollback", "--yes")  # only nudges: no worker is there
    assert state_of(run) == State.ROLLING_BACK
    assert call_json("rollback", "--foreground")["state"] == "rolled_back"


@pytest.mark.parametrize(
    "answer, code, state",
    [
        ("y", 0, State.ROLLED_BACK),
        ("Yes", 0, State.ROLLED_BACK),
        ("n", 1, State.DONE),
        ("", 1, State.DONE),
        ("\x04", 1, State.DONE),  # the end of the input
    ],
)
def test_on_a_terminal_a_rollback_shows_what_it_undoes_and_asks(answer, code, state, fill, started):
    fill("seed", *["Seed"] * 3)
    original = column_md5()
    run = worker.advance(started())
    returned, shown = on_a_terminal(answer, "normalization", "rollback", "--foreground")
    assert f"Rolling back run {run.pk} would give 3 rows their old value back" in shown
    assert "'seed' → 'Seed'" in shown
    assert f"Roll back run {run.pk} of {LABEL}? [y/N]" in shown
    assert (returned, state_of(run)) == (code, state), shown
    assert (column_md5() == original) == (state == State.ROLLED_BACK)


def on_a_terminal(answer, *arguments):
    """Run a command with a terminal as its input and output; return its exit code and what was
    shown.
    """
    ours, theirs = pty.openpty()
    known = {
        "DATABASE_URL": database_url(),
        "STAGE_EMBEDDED": "1",
        "STAGE_BATCH_PAUSE_SECONDS": "0",
    }
    command = subprocess.Popen(
        [*MANAGE, *arguments],
        cwd=ROOT,
        env=os.environ | known,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""
    try:
        while "[y/N]" not in shown and (part := _read(ours)):
            shown += part
        os.write(ours, answer.encode() if answer == "\x04" else f"{answer}\n".encode())
        while part := _read(ours):
            shown += part
        return command.wait(30), shown
    finally:
        command.kill()
        command.wait()
        os.close(ours)


def _read(descriptor):
    try:
        return os.read(descriptor, 4096).decode(errors="replace")
    except OSError:  # Linux says so when the last writer is gone
        return ""


def test_without_a_number_a_rollback_takes_the_newest_run_of_which_something_stands(done):
    before = done("Seed")
    empty = worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    assert (empty.state, rollbacks.standing(empty).left) == (State.DONE, 0)
    assert call_json("rollback", "--foreground", "--yes")["id"] == before.pk
    code, said = refusal("rollback", "--yes")
    assert (code, said) == (1, "There is nothing to undo: no finished run is in effect.")
