"""Take a delivery: verify it, and do what it asks once, whatever is repeated, by whom, and how many at a time."""

import time
from dataclasses import dataclass

from django.db import transaction

from stageapp import events, locks, metrics, mode_history
from stageapp.locks import Lock
from stageapp.models.modes import ModeChange
from stageapp.models.webhook import WebhookDelivery
from stageapp.rollout.changes import downgrade
from stageapp.webhook import authenticators, headers, notification, patience, tally
from stageapp.webhook.authenticators import NotVerified, Sent, Verified
from stageapp.webhook.notification import Notification, Unreadable, clean
from stageapp.webhook.tally import Uneventful

NAMES_KEPT = 50


@dataclass(frozen=True)
class Outcome:
    """What came of a delivery that was believed; `change` is the downgrade that it made."""

    result: str
    change: ModeChange | None = None


def receive(sent: Sent, now: float | None = None) -> Outcome:
    """Take a delivery; `now` is in seconds since 1970. It never makes the mode stricter.

    Raises:
        NotVerified: nobody knows who sent it, or when.
        Unreadable: whoever sent it, it is no notification of Alertmanager's.
        django.db.Error: PostgreSQL does not answer; the sender is to come again, which has no second effect.
        ModeError: the mode changes all the time; the same holds.
    """
    remote = clean(sent.remote, 64)
    try:
        verified = authenticators.verify(sent, time.time() if now is None else now)
    except NotVerified as error:
        said = clean(sent.headers.get(headers.ID, ""))
        tally.note(Uneventful(error.authenticator, "refused", error.why, said, remote=remote))
        raise
    try:
        told = notification.read(sent.body)
    except Unreadable:
        tally.note(Uneventful(verified.authenticator, "unreadable", "", verified.id, remote=remote))
        raise
    outcome = _once(verified, told, remote)
    if outcome.result == "duplicate":
        tally.note(Uneventful(verified.authenticator, "duplicate", "", verified.id, _names(told), remote))
    return outcome


def _once(verified: Verified, told: Notification, remote: str) -> Outcome:
    """Do what is asked, and record it in the same transaction, unless it was done before."""
    with patience.short_transaction("webhook"):
        key = _key(verified, told)
        locks.wait(Lock.DELIVERY, key)
        if WebhookDelivery.objects.filter(key=key).exists():
            return Outcome("duplicate")
        outcome = _act(verified, told)
        WebhookDelivery.objects.create(
            authenticator=verified.authenticator, result=outcome.result, webhook_id=verified.id, key=key,
            alerts=list(_names(told)), remote=remote, detail=told.test or "", mode_change=outcome.change,
        )  # fmt: skip
        transaction.on_commit(lambda: _tell(verified, told, outcome, remote))
    return outcome


def _key(verified: Verified, told: Notification) -> str:
    """Return what has one effect at most: the sender's id, or which alerts fire since when in this rollout.

    A bearer gives no id, and Alertmanager repeats a notification as it was. After a person has raised the mode again,
    an alert that still fires is news.
    """
    if verified.id:
        return f"{verified.authenticator}:{verified.id}"
    return f"{verified.authenticator}:{told.digest(mode_history.read().raises)}"


def _act(verified: Verified, told: Notification) -> Outcome:
    if told.test is not None:
        return Outcome("test")
    if not told.downgrading:
        return Outcome("no_downgrade")
    names = ", ".join(told.downgrading[:NAMES_KEPT])
    change = downgrade(actor=f"webhook:{verified.authenticator}", reason=f"Alertmanager says that these fire: {names}.")
    return Outcome("downgraded" if change else "not_enforced", change)


def _names(told: Notification) -> tuple[str, ...]:
    return tuple(told.names[:NAMES_KEPT])


def _tell(verified: Verified, told: Notification, outcome: Outcome, remote: str) -> None:
    metrics.webhook_delivered(authenticator=verified.authenticator, outcome=outcome.result)
    events.webhook_taken(
        authenticator=verified.authenticator, id=verified.id, result=outcome.result, alerts=list(_names(told)),
        remote=remote,
    )  # fmt: skip
