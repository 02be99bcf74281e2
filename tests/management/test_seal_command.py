"""`normalization seal|unseal|guard`: exit codes, one JSON document, and messages that say what
to do.
"""

import io
import json

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from psycopg.errors import CheckViolation

from stageapp.management.command import command_line_actor
from stageapp.models import Fund, PortfolioCompany, Seal
from stageapp.portfolio import imports
from stageapp.sealing import state
from stageapp.unknowns import drift
from stageapp.vocabulary.snapshot import newest_version
from tests.management.in_process import call, call_json
from tests.normalization.evidence import LABEL, at_once, sql
from tests.normalization.processes import manage
from tests.sealing import conftest
from tests.sealing.conftest import *  # noqa: F403  its fixtures


def refused(*arguments):
    """Run a command that is refused; return what it printed and why it refused."""
    out = io.StringIO()
    with pytest.raises(CommandError) as refusal:
        call_command("normalization", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue(), str(refusal.value)


def write(stage):
    with transaction.atomic():
        PortfolioCompany.objects.update(stage=stage)


def test_the_whole_way(fill):
    fill("seed", "growth", "???")
    code, out, err = manage("normalization", "seal", "--json", "--reason", "the rollout is done")
    assert (code, out) == (1, "")
    assert "'???'" in err
    assert "--allow" in err
    code, out, err = manage(
        "normalization", "seal", "--allow", "???", "--reason", "the rollout is done", "--json"
    )
    assert code == 0, err
    sealed = json.loads(out)  # fails unless stdout is exactly one document
    assert (sealed["state"], sealed["allowed"], sealed["null"]) == ("sealed", ["???"], True)
    assert (sealed["actor"], sealed["reason"]) == (command_line_actor(), "the rollout is done")
    with pytest.raises(IntegrityError):
        write("Seed")
    code, out, err = manage("normalization", "unseal", "--reason", "not yet")
    assert (code, out.strip()) == (0, f"{LABEL}: not sealed."), err
    write("Seed")


def test_a_terminal_is_told_what_passes_and_who_did_it(fill):
    fill("seed", "???")
    text = call("seal", "--allow", "???", "--null", "refuse", "--reason", "done")
    assert "sealed: PostgreSQL refuses every other value" in text
    assert f"vocabulary version {newest_version()}: pre_seed, seed" in text
    assert "NULL does not pass" in text
    assert "Also allowed: '???'." in text
    assert "done" in text


def test_a_dry_run_says_what_would_fail_and_changes_nothing(fill):
    fill("seed", "Seed ", "???", "???", "\u202etrick")
    text, why = refused("seal", "--dry-run")
    assert (
        "4  rows that would not pass stand in the column now: the next UPDATE of each would fail"
        in text
    )
    assert "'Seed '" in text
    assert "'\\u202etrick'" in text
    assert "\u202e" not in text
    assert "Make a plan and run it first." in text
    assert "see above" in why
    assert (Seal.objects.count(), conftest.constraints()) == (0, [])
    document = json.loads(refused("seal", "--dry-run", "--json")[0])
    held = {one["value"]: one for one in document["would_not_pass"]}
    assert held["Seed "] == {
        "value": "Seed ",
        "source": "",
        "rows": 1,
        "stage": "seed",
        "reason": None,
        "retired": False,
    }
    assert (held["???"]["rows"], held["???"]["stage"], document["possible"]) == (2, None, False)


def test_a_dry_run_that_finds_nothing_exits_0(done):
    run = done("Seed ")
    text = call("seal", "--dry-run")
    assert f"no row contains a known spelling; run {run.pk} was verified 0 s ago by " in at_once(
        text
    )
    assert text.strip().endswith("It can be sealed. Nothing was changed.")
    assert state.look(LABEL).state == "open"


def test_a_dry_run_counts_writes_of_late_and_says_how_it_knows(done):
    done("Seed ")
    call("guard", "on")
    fund = Fund.objects.get()
    for stage in ("Seed ", "Growth ", "nobody"):
        PortfolioCompany.objects.create(fund=fund, name="c", stage=stage)
    call("guard", "off")
    PortfolioCompany.objects.create(fund=fund, name="c", stage="series-b ")
    imports.import_companies(
        io.BytesIO(b"stage\n???\n??\nseed\n"), fund="second", stage_column="stage"
    )
    drift.watch()
    recent = {
        one["what"]: one["count"]
        for one in json.loads(refused("seal", "--dry-run", "--json")[0])["recent"]
    }

    def count(words):
        return next(count for what, count in recent.items() if words in what)

    assert count("stand in the column now") == 4
    assert count("as found by the drift check") == 4
    assert count("were imported in 7 days") == 2
    assert count("turned into stages by the guard in 7 days: it is off now") == 2
    assert count("the guard failed and left a value unchanged") == 0


def test_the_guard_is_switched_and_tells_its_counts(fill):
    fill("seed")
    assert call_json("guard", "status")["state"] == "off"
    assert call_json("guard", "on", "--reason", "the importer is old")["state"] == "on"
    write("S\u00e9ries B")
    found = call_json("guard", "status")
    assert (found["turned"], found["failed"], found["reason"]) == (1, 0, "the importer is old")
    (one,) = found["caught"]
    assert (one["raw"], one["stage"], one["count"]) == ("S\u00e9ries B", "series_b", 1)
    text = call("guard", "status")
    assert "In 7 days it turned 1 values into stages" in text
    assert "'Séries B' → series_b (from " in text
    assert call_json("guard", "off")["state"] == "off"
    assert "has no guard" in refused("guard", "off")[1]


def test_status_tells_seal_and_guard(done):
    done("Seed ")
    assert (call_json("status")["seal"], call_json("status")["guard"]) == ("open", "off")
    assert "Guard" not in call("status")
    call("guard", "on")
    call("seal")
    text = call("status")
    assert "sealed: PostgreSQL refuses" in text
    assert "Guard of" in text
    assert (call_json("status")["seal"], call_json("status")["guard"]) == ("sealed", "on")


def test_status_of_a_seal_that_is_behind_says_what_to_do(sealed, new_stage, done):
    done()
    sealed("seed")
    new_stage("bridge")
    assert (
        f"Vocabulary version {newest_version()} has bridge, which the seal refuses. Seal again"
        in call("status")
    )


@pytest.mark.parametrize(
    "line", [("seal", "--null", "maybe"), ("guard",), ("guard", "up"), ("unseal", "--allow", "x")]
)
def test_wrong_usage(line):
    with pytest.raises(CommandError):
        call(*line)


def test_another_target_is_refused_by_name(fill):
    assert "is not a target" in refused("seal", "--target", "app.Model.field")[1]


def test_an_import_that_a_sealed_column_does_not_take_says_so(sealed):
    sealed()
    with pytest.raises(imports.ImportRefused, match=r"sealed .* nothing was imported.*guard on"):
        imports.import_companies(
            io.BytesIO(b"stage\nseed\nSeed \n"), fund="second", stage_column="stage"
        )
    assert Fund.objects.filter(name="second").count() == 0
    call("guard", "on")
    imports.import_companies(
        io.BytesIO(b"stage\nseed\nSeed \n"), fund="second", stage_column="stage"
    )
    assert sql("SELECT DISTINCT stage FROM stageapp_portfoliocompany") == [("seed",)]


def test_another_constraint_of_the_table_is_not_taken_for_the_seal(fill):
    fill("seed")
    sql("ALTER TABLE stageapp_portfoliocompany ADD CONSTRAINT own CHECK (stage <> 'x')")
    try:
        with pytest.raises(CheckViolation, match="own"):
            imports.import_companies(io.BytesIO(b"stage\nx\n"), fund="second", stage_column="stage")
    finally:
        sql("ALTER TABLE stageapp_portfoliocompany DROP CONSTRAINT own")
