"""The two-person rule: one person proposes to enforce, another approves."""

from django.db import transaction
from django.utils import timezone

from stageapp.mode import store
from stageapp.mode.store import ModeError, ModeState
from stageapp.models.mode import ModeChange
from stageapp.models.rollout import ModeProposal
from stageapp.people import Person, same_person
from stageapp.rollout.changes import Wish, change_mode, refusal
from stageapp.rollout.errors import SecondPersonNeeded
from stageapp.rollout.judgement import consequences


class ProposalError(ModeError):
    """A proposal that cannot be made or approved; the text says what to do."""


def propose(person: Person, wish: Wish) -> ModeProposal:
    """Propose to enforce, for another person to approve. The gates are checked at the approval.

    Raises:
        ModeError: the values are not a valid mode, the day cannot be announced or withdrawn, the
            reason is empty, or the mode is not stricter than the current one.
    """
    store.check(wish.mode, wish.percent, wish.reason)
    newest = store.latest()
    wish.after(newest)
    if wish.mode != "enforce" or wish.state.strictness <= newest.strictness:
        raise ProposalError(
            "Only enforcing, or a larger enforced share, needs a second person. Change "
            "the mode directly."
        )
    return ModeProposal.objects.create(
        actor=person.name,
        reason=wish.reason.strip(),
        percent=wish.percent,
        enforce_on=wish.enforce_on,
        withdraw_enforce_on=wish.withdraw_enforce_on,
        override_reason=wish.override.strip(),
        epoch=newest.epoch,
        version=newest.version,
    )


def approve(proposal: ModeProposal, person: Person, reason: str = "") -> ModeChange:
    """Approve another person's proposal, which changes the mode now.

    A proposal that overrides gates needs an approver with the permission `override_gate`.

    Raises:
        SecondPersonNeeded: the approver is the proposer.
        ProposalError: it is no longer open, the mode has changed since, or its day is past.
        ModeError: the change is rejected, see `change_mode`.
    """
    if same_person(proposal.actor, person.name):
        raise SecondPersonNeeded("The person who proposed it cannot approve it")
    if proposal.status == "open" and (why := _outdated(proposal, store.latest())):
        _end(proposal, "outdated", why)
    if proposal.status != "open":
        raise ProposalError(
            f"The proposal is {proposal.status} ({proposal.ended_why}). Propose it again."
        )
    proposer = Person(proposal.actor, person.may)
    with transaction.atomic():
        _end(
            proposal,
            "approved",
            f"approved by {person.name}: {reason}".rstrip(": "),
            approved_by=person.name,
        )
        return change_mode(
            proposer,
            wish_of(proposal),
            expected_version=proposal.version,
            approved_by=person.name,
        )


def hindrance(proposal: ModeProposal, person: Person) -> str:
    """Return why this user cannot approve it now, empty if they can; changes nothing."""
    if same_person(proposal.actor, person.name):
        return "Another person has to approve it."
    if why := _outdated(proposal, store.latest()):
        return f"It is outdated: {why}. Propose it again."
    held = refusal(Person(proposal.actor, person.may), wish_of(proposal), approved_by=person.name)
    return str(held) if held else ""


def would_tell(proposal: ModeProposal) -> tuple[str, ...]:
    """Return what callers would be told after its approval; empty if the proposal is outdated."""
    newest = store.latest()
    return (
        () if _outdated(proposal, newest) else consequences(newest, wish_of(proposal).after(newest))
    )


def _outdated(proposal: ModeProposal, newest: ModeState) -> str:
    """Return why a proposal no longer fits the current mode, empty if it does."""
    if newest.order != (proposal.epoch, proposal.version):
        return f"the mode is now at version {newest.version}"
    if proposal.enforce_on and store.is_past(proposal.enforce_on):
        return f"the day it announces, {proposal.enforce_on}, is in the past"
    return ""


def withdraw(proposal: ModeProposal, person: Person, reason: str = "") -> None:
    """Withdraw an open proposal, one's own or another's.

    Raises:
        ProposalError: it is no longer open.
    """
    _end(proposal, "withdrawn", f"withdrawn by {person.name}: {reason}".rstrip(": "))


def waiting() -> list[ModeProposal]:
    """Return the open proposals that still fit the current mode, newest first."""
    newest = store.latest()
    return [it for it in ModeProposal.objects.filter(status="open") if not _outdated(it, newest)]


def wish_of(proposal: ModeProposal) -> Wish:
    return Wish(
        "enforce",
        proposal.reason,
        proposal.percent,
        proposal.enforce_on,
        proposal.override_reason,
        withdraw_enforce_on=proposal.withdraw_enforce_on,
    )


def status_in_words(proposal: ModeProposal) -> str:
    """Return the status to display; an open proposal that can no longer take effect is outdated."""
    why = _outdated(proposal, store.latest()) if proposal.status == "open" else ""
    return f"outdated: {why}" if why else str(proposal.get_status_display())


def _end(proposal: ModeProposal, status: str, why: str, approved_by: str = "") -> None:
    ended = ModeProposal.objects.filter(pk=proposal.pk, status="open").update(
        status=status, ended_at=timezone.now(), ended_why=why, approved_by=approved_by
    )
    proposal.refresh_from_db()
    if not ended:
        raise ProposalError(
            f"The proposal is {proposal.status} ({proposal.ended_why}). Propose it again."
        )
