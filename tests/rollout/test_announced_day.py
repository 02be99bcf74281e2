"""The announced day stays until it is withdrawn, is never past, and callers hear of no other."""

import datetime
from functools import partial

import pytest
from django.utils.http import parse_http_date
from hypothesis import given
from hypothesis import strategies as st

from stageapp.api import validation
from stageapp.api.validation import Encounter
from stageapp.mode import store
from stageapp.mode.store import ModeError, ModeState
from stageapp.models import ModeChange
from stageapp.rollout import auto_downgrade, proposals, schedule
from stageapp.rollout.changes import Wish, change_mode, downgrade
from stageapp.rollout.judgement import consequences
from stageapp.rollout.proposals import ProposalError
from stageapp.validation import decide
from stageapp.vocabulary import snapshot as vocabulary
from tests.rollout.conftest import ANN, BEN, ask
from tests.rollout.test_auto_downgrade import minutes

DAY = datetime.date(2030, 7, 1)
YESTERDAY, TODAY = datetime.date(2030, 5, 31), datetime.date(2030, 6, 1)
PAST = r"2030-05-31 is in the past. Announce 2030-06-01 \(today in UTC\) or a later day."


def announced():
    return store.latest().enforce_on


@pytest.fixture
def way(db, settings, clock, arrive, set_mode):
    """Return how the mode changes, each way by name."""

    def canary():
        ask("enforce", 10, override="a test")

    def automatic():
        canary()
        return downgrade(actor="guard", reason="too many")

    def by_the_guard():
        canary()
        clock.move(minutes=1)
        minutes(clock, arrive, 50)
        clock.move(seconds=16)
        return auto_downgrade.watch()

    def rearmed():
        automatic()
        return ask("enforce", 10, override="found out why")

    def approved():
        settings.STAGE_TWO_PERSON_RULE = True
        made = proposals.propose(ANN, Wish("enforce", "go", 10, override="a test"))
        return proposals.approve(made, BEN)

    def planned():
        canary()
        schedule.plan_steps(ANN, "while it stays green", [50])
        clock.move(hours=2)
        for _ in range(31):
            arrive(20)
            clock.move(minutes=1)
        return schedule.take_next()

    def glass():
        settings.STAGE_TWO_PERSON_RULE = True
        return ask("enforce", 10, override="a test", break_glass="nobody is awake")

    def through_off():
        ask("off")
        return ask("warn")

    return {
        "a canary": canary,
        "everybody": lambda: ask("enforce", override="a test"),
        "off": lambda: ask("off"),
        "off and back": through_off,
        "an automatic downgrade": automatic,
        "the guard": by_the_guard,
        "rearming": rearmed,
        "a proposal": approved,
        "a planned step": planned,
        "a broken glass": glass,
    }


WAYS = [
    "a canary",
    "everybody",
    "off",
    "off and back",
    "an automatic downgrade",
    "the guard",
    "rearming",
    "a proposal",
    "a planned step",
    "a broken glass",
]


@pytest.mark.django_db
@pytest.mark.parametrize("name", WAYS)
def test_it_stays_whichever_way_the_mode_changes(name, way):
    ask("warn", enforce_on=DAY)
    before = ModeChange.objects.count()
    way[name]()
    assert ModeChange.objects.count() > before
    assert set(ModeChange.objects.values_list("enforce_on", flat=True)) == {DAY}


@pytest.mark.django_db
@pytest.mark.parametrize("name", WAYS)
def test_what_is_past_by_now_holds_nothing_back(name, way, clock):
    ask("warn", enforce_on=DAY)
    clock.move(days=40)
    way[name]()
    assert announced() == DAY
    assert store.latest().day_to_come is None


@pytest.mark.django_db
def test_every_way_is_tried(way):
    assert list(way) == WAYS


@pytest.mark.django_db
def test_withdrawing_is_a_decision_with_actor_and_reason_that_changes_nothing_else(set_mode):
    ask("enforce", 10, override="a test", enforce_on=DAY)
    row = ask("enforce", 10, withdraw_enforce_on=True)
    assert (row.mode, row.percent, row.enforce_on, row.actor) == ("enforce", 10, None, "ann")
    assert row.reason == "for a test\nWithdrew the announced day, 2030-07-01."


@pytest.mark.django_db
@pytest.mark.parametrize(
    "asked, refused",
    [
        ({"enforce_on": YESTERDAY}, PAST),
        ({"enforce_on": datetime.date.min}, "is in the past"),
        ({"withdraw_enforce_on": True}, "there is none to withdraw"),
        ({"withdraw_enforce_on": True, "enforce_on": DAY}, "not both in one change"),
    ],
)
@pytest.mark.parametrize("propose", [False, True])
def test_a_day_that_cannot_be_is_refused_and_nothing_is_changed(asked, refused, propose, set_mode):
    set_mode("warn")
    attempt = partial(proposals.propose, ANN) if propose else partial(change_mode, ANN)
    with pytest.raises(ModeError, match=refused):
        attempt(Wish("enforce", "go", 10, override="a test", **asked))
    assert ModeChange.objects.count() == 1


@pytest.mark.django_db
def test_the_only_writer_refuses_it_too(set_mode):
    with pytest.raises(ModeError, match=PAST):
        store.change(mode="warn", actor="test", reason="for a test", enforce_on=YESTERDAY)
    store.change(mode="warn", actor="test", reason="for a test", enforce_on=TODAY)
    assert announced() == TODAY


@pytest.mark.django_db
def test_a_proposal_approved_after_its_day_is_outdated_and_says_so(settings, set_mode, clock):
    settings.STAGE_TWO_PERSON_RULE = True
    set_mode("warn")
    made = proposals.propose(ANN, Wish("enforce", "go", 10, enforce_on=TODAY, override="a test"))
    assert proposals.hindrance(made, BEN) == ""
    clock.move(days=1)
    assert "2030-06-01, is in the past" in proposals.hindrance(made, BEN)
    assert proposals.waiting() == []
    with pytest.raises(ProposalError, match="it announces, 2030-06-01, is in the past"):
        proposals.approve(made, BEN)
    made.refresh_from_db()
    assert made.status == "outdated"
    assert (store.latest().mode, announced()) == ("warn", None)


@pytest.mark.django_db
def test_a_proposal_withdraws_the_day_once_it_is_approved(settings, set_mode):
    settings.STAGE_TWO_PERSON_RULE = True
    ask("warn", enforce_on=DAY)
    wish = Wish("enforce", "go", 10, override="a test", withdraw_enforce_on=True)
    made = proposals.propose(ANN, wish)
    assert announced() == DAY
    assert "The announced day, 2030-07-01, is withdrawn." in proposals.would_tell(made)
    proposals.approve(made, BEN)
    assert announced() is None


@pytest.mark.django_db
def test_the_preview_tells_who_will_see_what(clock):
    now = ModeState("warn", enforce_on=DAY, since=clock.now)
    sunset = "Sunset: Mon, 01 Jul 2030 00:00:00 GMT"
    until = "and GET /api/deprecations gives 2030-07-01 as until."
    warned = f"are warned; where enforce would refuse, responses carry {sunset}, {until}"
    refused = "are refused unknown stages now; they are given no day, because theirs has come."
    assert consequences(now, Wish("enforce", "go", 10).after(now)) == (
        "The announced day, 2030-07-01, stays.",
        f"Callers in the share of 10 % {refused}",
        f"The others {warned}",
    )
    assert consequences(now, Wish("enforce", "go").after(now))[1:] == (f"All callers {refused}",)
    assert consequences(now, Wish("warn", "go", withdraw_enforce_on=True).after(now)) == (
        "The announced day, 2030-07-01, is withdrawn.",
        "All callers are warned; responses carry no Sunset, and GET /api/deprecations gives no day.",
    )
    later = Wish("warn", "go", enforce_on=datetime.date(2030, 8, 1)).after(now)
    assert consequences(now, later)[0] == (
        "2030-08-01 is announced as the first day of enforcement. The day announced before, 2030-07-01, no longer applies."
    )
    clock.move(days=40)
    assert "stays but has passed" in consequences(now, Wish("warn", "go").after(now))[0]
    assert "no Sunset" in consequences(now, Wish("warn", "go").after(now))[1]


VALUES = [("/a", "Series-A"), ("/b", "Sereis B"), ("/c", "seed")]
SPAN = st.integers(-40, 40)


@pytest.mark.django_db
@given(
    mode=st.sampled_from(["off", "warn", "enforce"]),
    values=st.lists(st.sampled_from(VALUES), max_size=3),
    since_hours=st.none() | st.integers(-2000, 0),
    days=st.none() | SPAN,
)
def test_sunset_announces_what_is_to_come_after_deprecation(mode, values, since_hours, days):
    clock_now = datetime.datetime(2030, 6, 1, 15, tzinfo=datetime.UTC)
    hours = datetime.timedelta(hours=since_hours or 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("django.utils.timezone.now", lambda: clock_now)
        state = ModeState(
            mode,
            enforce_on=None if days is None else TODAY + datetime.timedelta(days=days),
            since=None if since_hours is None else clock_now + hours,
        )
        snapshot = vocabulary.current()
        decision = decide(values, mode=mode, vocabulary=snapshot, source="alpha")
        met = Encounter(state, snapshot, decision, 0.0)
        headers, until = validation.headers(met), validation.until(state, mode)
        block = validation.block(met, None)
    unknown = any(raw == "Sereis B" for _, raw in values)
    assert ("Sunset" in headers) == (unknown and mode == "warn" and until is not None)
    if mode == "warn":  # off says nothing, and its answers have no block
        assert block["enforce_on"] == until
    if "Sunset" in headers:
        sunset = datetime.datetime.fromtimestamp(parse_http_date(headers["Sunset"]), datetime.UTC)
        assert sunset.date() == until == state.enforce_on
        assert sunset.date() >= TODAY
        if "Deprecation" in headers:
            assert sunset.timestamp() >= int(headers["Deprecation"].removeprefix("@"))
    if until is not None:
        assert mode != "enforce"
        assert until >= TODAY
    if mode == "enforce":
        assert until is None
