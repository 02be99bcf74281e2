"""The two-person rule: whoever proposes does not approve, and a broken glass is loud."""

import dataclasses

import pytest

from stageapp.infrastructure import events
from stageapp.mode import store
from stageapp.models.mode import ModeChange
from stageapp.people import Person
from stageapp.rollout import proposals, timeline
from stageapp.rollout.changes import Wish, downgrade
from stageapp.rollout.errors import GatesHold, Latched, OverrideNotPermitted, SecondPersonNeeded
from stageapp.rollout.proposals import ProposalError
from tests.rollout.conftest import ANN, BEN, ask

pytestmark = pytest.mark.django_db
WISH = Wish("enforce", "it is time", 10, override="agreed with all")


@pytest.fixture(autouse=True)
def two_persons(settings, set_mode):
    settings.STAGE_TWO_PERSON_RULE = True
    set_mode("warn")


@pytest.mark.parametrize("percent", [10, 100])
def test_nobody_enforces_alone_whatever_they_may(percent):
    with pytest.raises(SecondPersonNeeded):
        ask("enforce", percent, override="agreed")
    assert store.latest().mode == "warn"


def test_another_person_approves_and_both_stand_in_the_history():
    proposal = proposals.propose(ANN, WISH)
    assert store.latest().mode == "warn"
    row = proposals.approve(proposal, BEN, "I looked at it")
    assert (row.mode, row.percent, row.actor) == ("enforce", 10, "ann")
    assert row.reason == "it is time\nApproved by ben."
    assert row.override_reason.startswith("agreed with all [past ")
    proposal.refresh_from_db()
    assert (proposal.status, proposal.approved_by) == ("approved", "ben")
    assert proposal.ended_why == "approved by ben: I looked at it"


@pytest.mark.parametrize("name", ["ann", "session:ann", "cli:ann", "Ann"])
def test_whoever_proposed_cannot_approve_from_another_door(name):
    proposal = proposals.propose(ANN, WISH)
    with pytest.raises(SecondPersonNeeded):
        proposals.approve(proposal, dataclasses.replace(ANN, name=name))
    assert store.latest().mode == "warn"


def test_the_gates_are_asked_when_it_is_approved():
    proposal = proposals.propose(ANN, dataclasses.replace(WISH, override=""))
    with pytest.raises(GatesHold):
        proposals.approve(proposal, BEN)
    proposal.refresh_from_db()
    assert proposal.status == "open"


def test_the_approver_needs_the_permissions_that_the_change_needs():
    proposal = proposals.propose(ANN, WISH)
    with pytest.raises(OverrideNotPermitted):
        proposals.approve(proposal, Person("ben"))


def test_after_a_downgrade_the_approver_has_to_be_one_who_may_rearm(set_mode):
    set_mode("enforce", 10)
    downgrade(actor="guard", reason="too many")
    proposal = proposals.propose(ANN, WISH)
    with pytest.raises(Latched):
        proposals.approve(proposal, Person("ben", frozenset({"override_gate"})))


def test_a_change_of_mode_makes_a_proposal_outdated(set_mode):
    proposal = proposals.propose(ANN, WISH)
    assert proposals.waiting() == [proposal]
    set_mode("off")
    assert proposals.waiting() == []
    with pytest.raises(ProposalError, match="outdated"):
        proposals.approve(proposal, BEN)
    assert store.latest().mode == "off"


def test_it_is_approved_once_only():
    proposal = proposals.propose(ANN, WISH)
    proposals.approve(proposal, BEN)
    with pytest.raises(ProposalError, match="approved"):
        proposals.approve(proposal, BEN)
    assert ModeChange.objects.filter(mode="enforce").count() == 1


def test_a_withdrawn_proposal_cannot_be_approved():
    proposal = proposals.propose(ANN, WISH)
    proposals.withdraw(proposal, ANN, "too early")
    with pytest.raises(ProposalError, match="withdrawn by ann: too early"):
        proposals.approve(proposal, BEN)


@pytest.mark.parametrize("wish", [Wish("warn", "why"), Wish("off", "why")])
def test_what_takes_no_second_person_is_not_proposed(wish):
    with pytest.raises(ProposalError):
        proposals.propose(ANN, wish)


def test_lowering_and_warning_need_nobody_else(set_mode):
    set_mode("enforce", 50)
    assert ask("enforce", 10).percent == 10
    assert ask("off").mode == "off"
    assert ask("warn").mode == "warn"


@pytest.mark.django_db(transaction=True)
def test_a_broken_glass_is_recorded_and_loud(monkeypatch):
    logged = []
    monkeypatch.setattr(events, "glass_broken", lambda **fields: logged.append(fields))
    row = ask("enforce", 10, override="agreed", break_glass="nobody else is awake")
    assert row.override_reason.startswith("BREAK-GLASS: nobody else is awake\nagreed [past ")
    assert logged == [{"actor": "ann", "what": "enforce 10 %", "reason": "nobody else is awake"}]


def test_the_glass_takes_a_permission():
    with pytest.raises(OverrideNotPermitted):
        ask("enforce", 10, person=Person("plain"), break_glass="I would")


def test_a_broken_glass_does_not_go_past_gates():
    with pytest.raises(GatesHold):
        ask("enforce", 10, break_glass="nobody else is awake")


def test_without_the_rule_no_glass_is_broken(settings):
    settings.STAGE_TWO_PERSON_RULE = False
    assert (
        "BREAK-GLASS"
        not in ask("enforce", 10, override="agreed", break_glass="to be sure").override_reason
    )


def test_a_proposal_that_the_mode_has_overtaken_waits_for_nobody(set_mode):
    proposal = proposals.propose(ANN, WISH)
    assert proposals.status_in_words(proposal) == "waiting for another person"
    set_mode("off")
    assert proposals.waiting() == []
    outdated = f"outdated: the mode is now at version {store.latest().version}"
    assert proposals.status_in_words(proposal) == outdated
    assert f"Proposal: enforce 10 % ({outdated})" in [entry.what for entry in timeline.entries(20)]
    with pytest.raises(ProposalError, match="is outdated"):
        proposals.approve(proposal, BEN)
    proposal.refresh_from_db()
    assert proposals.status_in_words(proposal) == "outdated"
    assert proposal.ended_why == outdated.removeprefix("outdated: ")
