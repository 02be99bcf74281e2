"""`normalization run --trial` as a person and a script meet it."""

import io
import json
import os
import signal

import pytest
from django.core.management import CommandError, call_command

from stageapp.models import Run
from stageapp.normalization import plan as plans
from tests.backups.conftest import transactional_db  # noqa: F401  a fixture
from tests.backups.databases import rehearsal_databases
from tests.normalization.evidence import LABEL, column_md5
from tests.normalization.processes import MANAGE, begin, manage, wait_for
from tests.normalization.test_trial import (  # noqa: F401  fixtures
    backed_up,
    companies,
    engine,
    on_the_table,
    planned,
    raising_trigger,
)

# ruff: noqa: F811  fixtures are used under the names they are imported by


def trial(plan, *words):
    out = io.StringIO()
    call_command(
        "normalization", "run", "--plan", plan.hash, *words, stdout=out, stderr=io.StringIO()
    )
    return out.getvalue()


def test_a_person_reads_pairs_rate_estimate_and_verdict(planned, capfd):
    text = trial(planned, "--trial", "5%")
    for said in (
        "'Seed ' → seed",
        "rows/s, verified",
        "Estimate for all 2,001 rows",
        "the md5 is the same as before",
        "The trial passed.",
    ):
        assert said in text, said
    shown = capfd.readouterr().err
    assert [phase in shown for phase in ("restore:", "measure:", "run:")] == [True] * 3
    assert Run.objects.get().state == "planned"


def test_a_script_reads_one_document(planned, engine):
    code, out, err = manage(
        "normalization",
        "run",
        "--plan",
        planned.hash[:12],
        "--trial",
        "10",
        "--json",
        STAGE_BACKUP_DIR=str(engine),
        STAGE_BACKUP_KEY="k" * 32,
    )
    assert code == 0, err
    found = json.loads(out)
    assert (found["passed"], found["percent"], found["plan"]) == (True, 10, planned.hash)


def test_one_that_does_not_pass_says_why_and_exits_1(planned, on_the_table):
    raising_trigger(
        on_the_table, "IF NEW.stage = 'growth' OR OLD.stage = 'Seed ' THEN RAISE 'never'; END IF;"
    )
    backed_up()
    out = io.StringIO()
    with pytest.raises(CommandError, match="did not pass") as failed:
        call_command(
            "normalization",
            "run",
            "--plan",
            planned.hash,
            "--trial",
            "5%",
            stdout=out,
            stderr=io.StringIO(),
        )
    assert failed.value.returncode == 1
    assert "RAISED for 'Seed ' → seed: never" in out.getvalue()
    assert "THE TRIAL DID NOT PASS." in out.getvalue()


def test_without_a_verified_backup_it_is_refused_with_what_to_do(companies):
    companies(8)
    plan = plans.make_plan(LABEL, actor="tester")
    with pytest.raises(CommandError, match=r"manage\.py backup create"):
        trial(plan, "--trial", "5%")


@pytest.mark.parametrize("wrong", ["0", "101", "-5%", "nan", "much", "%"])
def test_a_percentage_that_is_none_is_refused(wrong):
    with pytest.raises(CommandError, match="--trial"):
        call_command("normalization", "run", "--plan", "0" * 64, f"--trial={wrong}")


def test_a_percentage_that_is_none_is_wrong_usage(engine):
    code, out, err = manage("normalization", "run", "--plan", "0" * 64, "--trial=101")
    assert (code, out) == (2, "")
    assert "--trial" in err


def test_ctrl_c_drops_the_copy_and_says_so(planned, engine):
    before = column_md5()
    process = begin(
        *MANAGE,
        "normalization",
        "run",
        "--plan",
        planned.hash,
        "--trial",
        "50%",
        "--json",
        STAGE_BACKUP_DIR=str(engine),
        STAGE_BACKUP_KEY="k" * 32,
    )
    with process:
        try:
            wait_for(lambda: rehearsal_databases() or process.poll() is not None, 60, "the copy")
            os.kill(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out) == (1, "")
    assert "The copy was dropped" in err
    assert "Traceback" not in err
    assert (rehearsal_databases(), column_md5()) == ([], before)
