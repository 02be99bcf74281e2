"""With the two-person rule a run is approved by somebody else than its planner before it starts."""

import pytest

from stageapp.infrastructure import events
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.normalization import plan as plans
from stageapp.normalization import runs
from stageapp.targets.errors import SecondApproverNeeded

pytestmark = pytest.mark.django_db


@pytest.fixture
def run(settings):
    settings.STAGE_TWO_PERSON_RULE = True
    PortfolioCompany.objects.create(fund=Fund.objects.create(name="F"), name="C", stage="Series A")
    return plans.make_plan("stageapp.PortfolioCompany.stage", actor="ann").run


@pytest.mark.parametrize("actor", ["ann", "cli:ann", "session:ann"])
def test_the_planner_does_not_approve(run, actor):
    with pytest.raises(SecondApproverNeeded, match="ann made the plan"):
        runs.approve(run, actor=actor, reason="mine")
    run.refresh_from_db()
    assert run.state == "planned"


@pytest.mark.parametrize("actor", ["ann", "ben"])
def test_a_start_approves_nothing_by_itself(run, actor):
    with pytest.raises(SecondApproverNeeded, match="before it starts"):
        runs.start(run, actor=actor, reason="now")
    assert not run.moves.filter(new_state="approved").exists()


def test_once_somebody_else_has_approved_the_planner_may_start_it(run):
    runs.approve(run, actor="ben", reason="looked at it")
    assert runs.start(run, actor="ann", reason="now").state == "running"


def test_a_broken_glass_stands_in_the_history_and_is_loud(run, monkeypatch):
    logged = []
    monkeypatch.setattr(events, "glass_broken", lambda **fields: logged.append(fields))
    runs.approve(run, actor="cli:ann", reason="nobody else is awake", break_glass=True)
    assert run.moves.get(new_state="approved").reason == "BREAK-GLASS: nobody else is awake"
    assert logged == [
        {"actor": "cli:ann", "what": f"run {run.pk}", "reason": "nobody else is awake"}
    ]


def test_no_glass_is_broken_where_none_is_in_the_way(run, monkeypatch):
    monkeypatch.setattr(events, "glass_broken", lambda **_: pytest.fail("nothing was broken"))
    runs.approve(run, actor="ben", reason="looked at it", break_glass=True)
    assert run.moves.get(new_state="approved").reason == "looked at it"


def test_without_the_rule_the_planner_starts_it_alone(run, settings):
    settings.STAGE_TWO_PERSON_RULE = False
    assert runs.start(run, actor="ann", reason="now").state == "running"
