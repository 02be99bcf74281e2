"""The command: exit codes, one JSON document, and messages that say what to do."""

import json
import os
import re
import signal

import pytest
from django.core.management import CommandError

from stageapp.management.normalization_report import _duration
from stageapp.models import Batch, Plan, PortfolioCompany, Run
from stageapp.models.normalization import State
from stageapp.normalization import runs
from tests.management.in_process import call, call_json
from tests.normalization.conftest import alias, engine, fill, transactional_db  # noqa: F401
from tests.normalization.evidence import ME, column, column_md5, log_of
from tests.normalization.processes import MANAGE, begin, manage, state_of, wait_for

# ruff: noqa: F811  fixtures are used under the names they are imported by

MESSY = ["Seed ", "seed", "series-a", "nobody knows"]


@pytest.fixture
def planned(fill):
    """Return the hash of a plan for a small messy table."""
    fill(*MESSY)
    return call_json("plan")["hash"]


def test_the_whole_way(fill):
    fill(*MESSY * 10)
    before = column_md5()
    plan = call_json("plan")
    assert (plan["rows_total"], plan["rows_to_change"], plan["rows_unknown"]) == (40, 20, 10)
    dry = call_json("run", "--plan", plan["hash"], "--dry-run")
    assert dry == {"scanned": 40, "would_change": 20, "quarantined": []}
    code, out, err = manage(
        "normalization", "run", "--plan", plan["hash"], "--foreground", "--json"
    )
    assert code == 0, err
    run = json.loads(out)  # fails unless stdout is exactly one document
    progress = run["progress"]
    assert (run["state"], progress["changed"], progress["rows"]) == ("done", 20, 40)
    assert call_json("verify")["ok"]
    again = call_json("status")
    assert again["verification"]["ok"]
    assert again["proof"]["verification"] == again["verification"]["verification"]
    assert {**again, "verification": 0, "proof": 0} == {**run, "verification": 0, "proof": 0}
    assert call_json("rollback", "--foreground", "--yes")["progress"]["changed"] == 20
    assert column_md5() == before


def test_a_plan_for_a_terminal_names_counts_reasons_and_the_next_step(fill):
    fill(*MESSY, "\u202ehidden\x07")
    text = call("plan")
    assert "5 rows in 5 spellings: 2 rows to change, 2 unknown (they stay as they are)" in text
    assert "(unmapped)" in text
    assert "\\u202ehidden\\x07" in text
    assert "\u202e" not in text
    assert f"normalization run --plan {Run.objects.get().plan.hash[:12]} --dry-run" in text


def test_a_plan_for_json_lists_every_spelling(planned):
    entries = {entry["raw"]: entry for entry in call_json("plan")["entries"]}
    assert entries["Seed "] == {
        "raw": "Seed ",
        "source": "",
        "stage": "seed",
        "stored": "seed",
        "reason": None,
        "rows": 1,
    }
    assert entries["nobody knows"]["reason"] == "unmapped"
    assert len(entries) == 4


def test_a_plan_says_how_long_a_run_would_take(fill):
    fill(*MESSY)
    assert call_json("plan")["estimated_seconds"] > 0
    assert re.search(r"About [\d.]+ m?s of writing by one worker, without pauses", call("plan"))


@pytest.mark.parametrize(
    "seconds, says",
    [
        (0.2, "About 0.2 s "),
        (125, "About 2 min 5 s "),
        (7_260, "About 2 h 1 min "),
        (None, "No duration estimate: "),
    ],
)
def test_a_duration_is_written_for_people(seconds, says):
    plan = Plan(target="t", vocabulary_version=1, rows_total=1, rows_to_change=1, rows_unknown=0)
    plan.estimated_seconds = seconds
    assert _duration(plan).startswith(says)


def test_status_before_anything_says_how_to_begin(engine):
    assert "normalization plan" in call("status")
    assert call_json("status") == {"runs": []}


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["run", "--plan", "0" * 64], "No plan has the hash"),
        (["run", "--plan", "short"], "is not a plan's hash"),
        (["run", "--plan", "0" * 64, "--dry-run"], "No plan has the hash"),
        (["approve", "0" * 64], "No plan has the hash"),
        (["status", "4711"], "There is no run 4711"),
        (["pause", "4711"], "There is no run 4711"),
        (["verify"], "There is no run yet"),
        (["rollback"], "There is no finished run yet"),
        (["rollback", "4711"], "There is no run 4711"),
        (["plan", "--target", "stageapp.Fund.name"], "Add it to STAGE_TARGETS"),
    ],
)
def test_a_refusal_says_what_is_wrong(engine, arguments, says):
    with pytest.raises(CommandError, match=says) as refused:
        call(*arguments)
    assert refused.value.returncode == 1


@pytest.mark.parametrize(
    "arguments, says, code",
    [
        (["run", "--plan", "0" * 64, "--json"], "No plan has the hash", 1),
        (["walk"], "invalid choice", 2),
    ],
)
def test_exit_codes_of_refusal_and_wrong_usage(engine, arguments, says, code):
    returned, out, err = manage("normalization", *arguments)
    assert (returned, out) == (code, "")
    assert says in err
    assert "Traceback" not in err


def test_a_database_that_is_not_there_is_said_and_exits_1(engine):
    url = "postgres://nobody:not-a-password@localhost:1/nothing"
    code, out, err = manage("normalization", "status", "--json", DATABASE_URL=url)
    assert (code, out) == (1, "")
    assert "PostgreSQL does not answer" in err
    assert "Traceback" not in err
    assert "not-a-password" not in err


def test_a_changed_vocabulary_is_refused_with_what_to_do(planned, alias):
    alias("a word of our own", "seed")
    with pytest.raises(CommandError, match="Make a new plan"):
        call("run", "--plan", planned, "--foreground")
    assert sorted(column().values()) == sorted(MESSY)


def test_a_dry_run_changes_nothing_and_says_so(planned):
    assert "of 4 rows 2 would change. Nothing was kept." in call(
        "run", "--plan", planned[:12], "--dry-run"
    )
    assert sorted(column().values()) == sorted(MESSY)
    assert Run.objects.get().state == State.PLANNED


def test_approve_then_run(planned):
    assert call_json("approve", planned)["state"] == "approved"
    assert call_json("run", "--plan", planned, "--foreground")["state"] == "done"


def test_a_run_that_is_done_cannot_be_run_again(planned):
    call("run", "--plan", planned, "--foreground")
    with pytest.raises(CommandError, match="is done"):
        call("run", "--plan", planned, "--foreground")
    assert len(log_of(Run.objects.get())) == 2


def test_pause_resume_and_cancel_by_the_newest_run(planned):
    call("run", "--plan", planned)  # only nudges: no worker is there
    assert call_json("pause", "--reason", "lunch")["state"] == "paused"
    assert call_json("resume")["state"] == "running"
    assert call_json("cancel", "--reason", "not today")["state"] == "cancelled"
    reasons = list(Run.objects.get().moves.values_list("reason", flat=True))
    assert "not today" in reasons
    assert any("lunch" in reason for reason in reasons)


def test_a_run_that_fails_exits_1_with_its_reason(planned):
    runs.start(Run.objects.get(), **ME)
    Run.objects.update(state=State.VERIFYING)  # as a worker leaves it that dies before it verifies
    with pytest.raises(CommandError, match="rows contain planned spellings again"):
        call("run", "--plan", planned, "--foreground")
    assert Run.objects.get().state == State.FAILED
    assert call_json("run", "--plan", planned, "--foreground")["state"] == "done"


def test_verify_exits_1_when_a_run_that_is_done_has_left_something(planned):
    call("run", "--plan", planned, "--foreground")
    assert "agree" in call("verify")
    PortfolioCompany.objects.filter(stage="seed").update(stage="Seed ")
    with pytest.raises(CommandError, match="Run 1 is done, and known spellings are left"):
        call("verify")


def test_ctrl_c_pauses_a_run_and_says_how_to_go_on(fill):
    fill(*MESSY * 3000)
    plan = call_json("plan")["hash"]
    worker = begin(
        *MANAGE,
        "normalization",
        "run",
        "--plan",
        plan,
        "--foreground",
        "--json",
        STAGE_BATCH_SECONDS="0.01",
        STAGE_BATCH_PAUSE_SECONDS="0.05",
    )
    wait_for(lambda: Batch.objects.count() >= 2, what="the second batch")
    os.kill(worker.pid, signal.SIGINT)
    out, err = worker.communicate(timeout=20)
    run = Run.objects.get()
    assert (worker.returncode, out, run.state) == (1, "", State.PAUSED)
    assert f"Continue with: normalization run --plan {plan[:12]} --foreground" in err
    assert "Traceback" not in err
    assert 0 < len(log_of(run)) < 6000
    assert call_json("run", "--plan", plan, "--foreground")["state"] == "done"


def test_ctrl_c_in_a_rollback_says_how_to_go_on(fill):
    fill(*MESSY * 3000)
    before = column_md5()
    plan = call_json("plan")["hash"]
    call("run", "--plan", plan, "--foreground")
    worker = begin(
        *MANAGE,
        "normalization",
        "rollback",
        "--foreground",
        "--yes",
        STAGE_BATCH_PAUSE_SECONDS="0.3",
    )
    wait_for(
        lambda: Batch.objects.filter(direction="rollback").exists(), what="the first batch back"
    )
    os.kill(worker.pid, signal.SIGINT)
    _, err = worker.communicate(timeout=20)
    run = Run.objects.get()
    assert (worker.returncode, state_of(run)) == (1, State.ROLLING_BACK)
    assert f"Continue with: normalization rollback {run.pk} --foreground" in err
    assert call_json("rollback", "--foreground", "--yes")["state"] == "rolled_back"
    assert column_md5() == before


def test_with_labels_a_plan_lists_no_label_that_stays_as_a_change(fill, settings):
    settings.STAGE_TARGETS = ["stageapp.PortfolioCompany.stage?form=label"]
    fill("Seed", "Seed", "seed", "series-a")
    text = call("plan")
    assert "4 rows in 3 spellings: 2 rows to change" in text
    changes = text.partition("Would change")[2].partition("hash ")[0]
    assert "'seed'" in changes
    assert "→ Series A" in changes
    assert "'Seed'" not in changes
