"""`normalization throttle` and what `status` says of a hold."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from stageapp.models import Fund, PortfolioCompany, RunThrottle, ThrottleLook
from stageapp.normalization import limits, runs
from stageapp.normalization import plan as plans

pytestmark = pytest.mark.django_db
TEXT = "replica lag 12 s; the limit is 10 s, work continues at 8 s"


@pytest.fixture
def run():
    PortfolioCompany.objects.create(fund=Fund.objects.create(name="F"), name="C", stage="Series A")
    plan = plans.make_plan("stageapp.PortfolioCompany.stage", actor="ann")
    return runs.start(plan.run, actor="ann", reason="go")


def test_it_shows_limits_and_readings(run, capsys):
    call_command("normalization", "throttle")
    out = capsys.readouterr().out
    assert "no worker has started it" in out
    assert "replica_lag      not checked; limit 10 s; waited 0 s" in out


def test_it_changes_limits_with_actor_and_reason(run, capsys):
    call_command(
        "normalization",
        "throttle",
        str(run.pk),
        "--set",
        "replica_lag=30",
        "disk_free=0",
        "--reason",
        "the standby is a spare",
        "--json",
    )
    document = json.loads(capsys.readouterr().out)
    assert (
        document["run"],
        document["limits"]["replica_lag"],
        document["limits"]["disk_free"],
    ) == (run.pk, 30, 0)
    assert set(RunThrottle.objects.values_list("reason", flat=True)) == {"the standby is a spare"}
    assert all(
        actor.startswith("cli:") for actor in RunThrottle.objects.values_list("actor", flat=True)
    )
    call_command("normalization", "throttle", "--set", "replica_lag=default", "--reason", "back")
    assert "replica_lag      not checked; limit 10 s; waited" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["moon=1", "replica_lag=-1", "disk_free=101", "replica_lag=nan"])
def test_a_limit_that_makes_no_sense_is_refused(run, wrong):
    with pytest.raises(CommandError):
        call_command("normalization", "throttle", "--set", wrong)
    assert not RunThrottle.objects.exists()


@pytest.mark.parametrize("wrong", ["replica_lag", "replica_lag=many"])
def test_a_limit_that_is_no_number_is_wrong_usage(run, wrong):
    with pytest.raises(CommandError, match="is not NAME=LIMIT"):
        call_command("normalization", "throttle", "--set", wrong)


def test_status_says_what_holds_the_run(run, capsys):
    readings = [
        {
            "factor": "active_sessions",
            "title": "active sessions",
            "state": "not measured",
            "note": "hidden",
        }
    ]
    ThrottleLook.objects.create(
        run=run, looked_at=timezone.now(), reason="replica_lag", text=TEXT, readings=readings
    )
    limits.add_seconds(run, "replica_lag", 12.5)
    call_command("normalization", "status")
    out = capsys.readouterr().out
    assert f"Held: {TEXT}" in out
    assert "Not measured: active sessions (hidden)" in out
    assert "Waited: 12 s for replica lag" in out
    call_command("normalization", "status", "--json")
    throttle = json.loads(capsys.readouterr().out)["throttle"]
    assert (throttle["hold"], throttle["reason"]) == (TEXT, "replica_lag")
    assert throttle["seconds_by_reason"]["replica_lag"] == 12.5
