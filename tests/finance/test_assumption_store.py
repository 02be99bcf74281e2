"""Assumptions: no part of the vocabulary; changed with a reason, followed, never overwritten."""

import threading
import time
from decimal import Decimal

import pytest
from django.db import connection

from stageapp.finance import assumption_store
from stageapp.finance.assumption_store import ChangedMeanwhile, NoAssumptions, Unusable
from stageapp.finance.reserves import FollowOnRule
from stageapp.infrastructure import events
from stageapp.models import AssumptionChange, Fund, PortfolioCompany, Stage
from stageapp.normalization import runs
from stageapp.normalization.plan import make_plan
from stageapp.vocabulary import snapshot
from tests.processes import process
from tests.servers import running

pytestmark = pytest.mark.django_db

FOLLOW = """
from stageapp.finance import assumption_store
assumption_store.current()
for line in sys.stdin:
    say(sigma=str(assumption_store.current().figures["growth"]["sigma"]))
"""
CHANGE = """
from decimal import Decimal
from stageapp.finance import assumption_store
for line in sys.stdin:
    before = assumption_store.newest("growth")
    figures = {**before.figures, "sigma": Decimal(line.strip())}
    made = assumption_store.change(
        "growth", figures, expected_version=before.version, actor="test", reason="a test"
    )
    say(version=made.version)
"""


def change(stage="growth", expected=None, actor="petra", reason="new data", **figures):
    before = assumption_store.newest(stage)
    return assumption_store.change(
        stage,
        {**before.figures, **figures},
        expected_version=before.version if expected is None else expected,
        actor=actor,
        reason=reason,
    )


def test_the_shipped_assumptions_are_the_decimals_of_the_file():
    figures = assumption_store.load().figures
    assert figures["pre_seed"]["follow_on_share"] == Decimal("0.35")
    assert figures["growth"]["sigma"] == Decimal("0.4")
    assert figures["growth"]["alpha"] is None
    assert list(figures) == sorted(Stage.objects.values_list("slug", flat=True))


def test_a_change_keeps_the_old_figures_with_who_and_why():
    made = change(sigma=Decimal("0.6"))
    old, new = AssumptionChange.objects.filter(stage="growth").order_by("version")
    assert (old.sigma, new.sigma) == (Decimal("0.4"), Decimal("0.6"))
    assert (new.version, new.actor, new.reason) == (2, "petra", "new data")
    assert made == new


def test_it_makes_no_vocabulary_version_and_refuses_no_waiting_plan():
    PortfolioCompany.objects.create(fund=Fund.objects.create(name="F"), name="a", stage="Seed")
    before = snapshot.newest_version()
    plan = make_plan("stageapp.PortfolioCompany.stage", actor="petra")
    change(sigma=Decimal("0.6"))
    assert snapshot.newest_version() == before
    started = runs.start(plan.run, actor="petra", reason="as planned")
    assert started.state == "running"


def test_what_is_assumed_already_is_not_recorded_again():
    assert change() is None
    assert change(sigma=Decimal("0.400")) is None
    assert AssumptionChange.objects.filter(stage="growth").count() == 1


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"failure_rate": Decimal("1.5")}, "growth: failure_rate is 1.5"),
        ({"failure_rate": Decimal("NaN")}, "growth: failure_rate is nan"),
        ({"distribution": "power_law"}, "growth: alpha must be a number"),
        ({"sigma": Decimal(-1)}, "growth: sigma is -1"),
        ({"average_check": Decimal(0)}, "growth: average_check is 0"),
        ({"follow_on_share": Decimal(2)}, "growth: A follow-on rule needs a share from 0 to 1"),
    ],
)
def test_what_no_simulation_or_allocation_could_use_is_refused(wrong, message):
    with pytest.raises(Unusable, match=message):
        change(**wrong)
    assert AssumptionChange.objects.filter(stage="growth").count() == 1


@pytest.mark.parametrize(
    "missing, message",
    [({"actor": " "}, "An actor is needed"), ({"reason": " "}, "A reason is needed")],
)
def test_who_and_why_are_required(missing, message):
    with pytest.raises(ValueError, match=message):
        change(sigma=Decimal("0.6"), **missing)


def test_a_change_on_figures_that_are_no_longer_in_force_says_who_was_first():
    change(sigma=Decimal("0.6"), actor="olga", reason="a new study")
    with pytest.raises(ChangedMeanwhile, match=r"olga changed these .* a new study"):
        change(sigma=Decimal("0.7"), expected=1)
    assert assumption_store.newest("growth").sigma == Decimal("0.6")


@pytest.mark.django_db(transaction=True)
def test_of_two_people_at_the_same_moment_one_is_told_of_the_other(monkeypatch):
    both = threading.Barrier(2)
    looked = assumption_store.rule

    def look_and_wait(*args):
        found = looked(*args)
        both.wait(10)
        return found

    monkeypatch.setattr(assumption_store, "rule", look_and_wait)
    answers = []

    def attempt(sigma):
        try:
            answers.append(change(sigma=Decimal(sigma), expected=1))
        except ChangedMeanwhile:
            answers.append(None)
        connection.close()

    threads = [threading.Thread(target=attempt, args=[sigma]) for sigma in ("0.6", "0.7")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer is None for answer in answers) == [False, True]
    assert AssumptionChange.objects.filter(stage="growth").count() == 2


def test_this_process_follows_at_once_and_logs_it(django_capture_on_commit_callbacks, monkeypatch):
    logged = []
    monkeypatch.setattr(events, "assumptions_changed", lambda **fields: logged.append(fields))
    assumption_store.current()
    with django_capture_on_commit_callbacks(execute=True):
        change(sigma=Decimal("0.6"))
    assert assumption_store.current().figures["growth"]["sigma"] == Decimal("0.6")
    assert logged == [{"stage": "growth", "version": 2, "actor": "petra", "reason": "new data"}]


def test_only_the_first_call_reads_and_a_refresh_reads_anew_only_after_a_change(
    django_assert_num_queries,
):
    with django_assert_num_queries(2):
        assumption_store.current()
        assumption_store.current()
    with django_assert_num_queries(1):
        assumption_store.refresh()
    change(sigma=Decimal("0.6"))  # as in another process: no callback of a commit
    assumption_store.refresh()
    assert assumption_store.current().figures["growth"]["sigma"] == Decimal("0.6")


def test_a_process_that_never_used_assumptions_does_not_load_them(django_assert_num_queries):
    with django_assert_num_queries(0):
        assumption_store.refresh()


def test_every_process_follows_within_the_time_of_the_vocabulary(tmp_path, figure):
    with running(tmp_path / "servers") as servers:
        environment = servers.environment
        with process(CHANGE, **environment) as changer, process(FOLLOW, **environment) as one:
            assert Decimal(one.ask("?")["sigma"]) == Decimal("0.4")
            changer.ask("0.6")
            began = time.monotonic()
            one.until(lambda answer: Decimal(answer["sigma"]) == Decimal("0.6"), 10)
            took = time.monotonic() - began
    figure("another process follows a changed assumption, seconds", round(took, 1))
    assert took < 5.5


def test_a_simulation_and_a_rule_are_built_for_the_stages_asked_in_their_order():
    assumed = assumption_store.load()
    assert list(assumed.for_simulation(["growth", "seed"])) == ["growth", "seed"]
    assert assumed.follow_on(["seed"]) == {"seed": FollowOnRule(Decimal("0.4"), Decimal(2))}


def test_a_new_stage_has_no_assumptions_until_somebody_enters_them():
    with snapshot.change(actor="petra", reason="a new stage"):
        Stage.objects.create(slug="series_z", label="Series Z", rank=95)
    with pytest.raises(NoAssumptions, match=r"series_z\. An operator enters them in the admin"):
        assumption_store.load().for_simulation(["seed", "series_z"])
    growth = assumption_store.newest("growth").figures
    assumption_store.change(
        "series_z",
        growth,
        expected_version=0,
        actor="petra",
        reason="like growth",
    )
    assert list(assumption_store.load().for_simulation(["series_z"])) == ["series_z"]


def test_a_stage_that_is_deleted_and_comes_back_has_its_assumptions_again():
    with snapshot.change(actor="petra", reason="gone"):
        Stage.objects.get(slug="growth").aliases.all().delete()
        Stage.objects.get(slug="growth").delete()
    with snapshot.change(actor="petra", reason="back"):
        Stage.objects.create(slug="growth", label="Growth", rank=80)
    assert assumption_store.load().for_simulation(["growth"])


def test_a_stage_with_another_slug_keeps_its_assumptions_and_takes_none_that_are_there():
    assumption_store.carry_over("growth", "expansion", actor="petra", reason="renamed")
    assert assumption_store.newest("expansion").figures == assumption_store.newest("growth").figures
    assumption_store.carry_over("growth", "seed", actor="petra", reason="renamed")
    assert assumption_store.newest("seed").version == 1
