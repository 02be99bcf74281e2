"""Receive a delivery: verify it and act on it once, however often and concurrently it repeats.

A test is a delivery too, sent the same way.
"""

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from django.db import Error, connection, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events, locks, metrics
from stageapp.infrastructure.locks import Lock
from stageapp.mode import history
from stageapp.mode.store import ModeError
from stageapp.models.mode import ModeChange
from stageapp.models.webhook import WebhookDelivery
from stageapp.people import Person
from stageapp.rollout.changes import downgrade
from stageapp.webhook import authenticators, notification, sending, signatures, tally
from stageapp.webhook.authenticators import NotVerified, Sent, Verified
from stageapp.webhook.notification import ACTION, DOWNGRADE, Notification, Unreadable, clean
from stageapp.webhook.secrets import webhook_secrets
from stageapp.webhook.sending import NotReached
from stageapp.webhook.tally import Uneventful

# Wait for PostgreSQL no longer than a sender waits for us: a server that hangs is told as one that
# is away.
#
# A stopped backend, or a network that swallows everything, answers nothing and runs no
# statement_timeout. So another thread cuts the connection, and the one that waits gets an error.

# and at most connect_timeout (5 s) more, to find out that a new connection is not to be had either
SECONDS = 3.0


@contextmanager
def short_transaction(job: str, seconds: float | None = None) -> Iterator[None]:
    """Run the block in one time-limited transaction; a commit that is cut off may have happened.

    Raises:
        django.db.Error: PostgreSQL is down, hangs, or another transaction holds what this one
            needs.
    """
    bound = SECONDS if seconds is None else seconds
    connection.ensure_connection()
    assert connection.connection is not None
    # a handle of our own: the number may name another file by the time it is cut
    line = socket.socket(fileno=os.dup(connection.connection.pgconn.socket))

    def cut() -> None:
        events.connection_cut(job=job, seconds=bound)
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(bound, cut)
    timer.daemon = True
    timer.start()
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT set_config('lock_timeout', %s, true)", [f"{int(bound * 1000 / 2)}ms"]
                )
            yield
    finally:
        timer.cancel()
        timer.join()  # else it could cut while the handle is closed
        line.close()


NAMES_KEPT = 50


@dataclass(frozen=True)
class Outcome:
    """The outcome of a trusted delivery; `change` is the downgrade that it made."""

    result: str
    change: ModeChange | None = None


def receive(sent: Sent, now: float | None = None) -> Outcome:
    """Process a delivery; `now` is in seconds since 1970. It never makes the mode stricter.

    Raises:
        NotVerified: it does not prove who sent it, or when.
        Unreadable: the sender is proved, but it is not an Alertmanager notification.
        django.db.Error: PostgreSQL does not respond; the sender should retry, which has no
            second effect.
        ModeError: the mode keeps changing; the same applies.
    """
    remote = clean(sent.remote, 64)
    try:
        verified = authenticators.verify(sent, time.time() if now is None else now)
    except NotVerified as error:
        said = clean(sent.headers.get(signatures.ID, ""))
        tally.note(Uneventful(error.authenticator, "refused", error.why, said, remote=remote))
        raise
    try:
        told = notification.read(sent.body)
    except Unreadable:
        tally.note(Uneventful(verified.authenticator, "unreadable", "", verified.id, remote=remote))
        raise
    outcome = _once(verified, told, remote)
    if outcome.result == "duplicate":
        tally.note(
            Uneventful(verified.authenticator, "duplicate", "", verified.id, _names(told), remote)
        )
    return outcome


def _once(verified: Verified, told: Notification, remote: str) -> Outcome:
    """Act on it and record it in the same transaction, unless it was done before."""
    with short_transaction("webhook"):
        key = _key(verified, told)
        locks.wait(Lock.DELIVERY, key)
        if WebhookDelivery.objects.filter(key=key).exists():
            return Outcome("duplicate")
        alerts = list(_names(told))
        if told.test is not None:
            outcome = Outcome("test")
        elif not told.downgrading:
            outcome = Outcome("no_downgrade")
        else:
            change = downgrade(
                actor=f"webhook:{verified.authenticator}",
                reason="Alertmanager reports these alerts as firing: "
                f"{', '.join(told.downgrading[:NAMES_KEPT])}.",
            )
            outcome = Outcome("downgraded" if change else "not_enforced", change)
        WebhookDelivery.objects.create(
            authenticator=verified.authenticator,
            result=outcome.result,
            webhook_id=verified.id,
            key=key,
            alerts=alerts,
            remote=remote,
            detail=told.test or "",
            mode_change=outcome.change,
        )

        def tell() -> None:
            metrics.webhook_delivered(authenticator=verified.authenticator, outcome=outcome.result)
            events.webhook_taken(
                authenticator=verified.authenticator,
                id=verified.id,
                result=outcome.result,
                alerts=alerts,
                remote=remote,
            )

        transaction.on_commit(tell)
    return outcome


def _key(verified: Verified, told: Notification) -> str:
    """Return the deduplication key: the sender's id, or which alerts fire since when.

    A bearer token gives no id, and Alertmanager repeats a notification unchanged. The key includes
    the number of raises: after someone has raised the mode again, an alert that still fires is
    new.
    """
    if verified.id:
        return f"{verified.authenticator}:{verified.id}"
    return f"{verified.authenticator}:{told.digest(history.read().raises)}"


def _names(told: Notification) -> tuple[str, ...]:
    return tuple(told.names[:NAMES_KEPT])


# A test: a signed delivery like an alert's that says it must not lower anything.


TEST_SECONDS = 10.0  # more than the receiver waits for PostgreSQL
TEST_ALERT = "StageWebhookTest"


class TrialFailed(Exception):
    """The test did not arrive as expected; the text says what to do."""


def send_test(person: Person, reason: str) -> None:
    """Send one test: over HTTP if STAGE_BASE_URL is set, else directly to the verifying code.

    Raises:
        TrialFailed: there is no secret, or the delivery was not accepted.
    """
    secrets = webhook_secrets()
    if not secrets:
        raise TrialFailed(
            "No secret is set, so nothing can be signed. Set ALERTMANAGER_WEBHOOK_SECRET and "
            "restart."
        )
    alert = {
        "status": "firing",
        "labels": {"alertname": TEST_ALERT, ACTION: DOWNGRADE},
        "startsAt": timezone.now().isoformat(),
    }
    body = json.dumps(
        {"version": "4", "test": f"{person.name}: {reason}", "alerts": [alert]}
    ).encode()
    headers = signatures.signed_headers(
        secrets[0].keys[0], f"test_{uuid.uuid4().hex}", int(time.time()), body
    )
    if conf.base_url():
        url = conf.base_url() + sending.PATH
        try:
            status = sending.post(url, body, headers, TEST_SECONDS)
        except NotReached as error:
            raise TrialFailed(
                f"{url} could not be reached ({error}). Check STAGE_BASE_URL and the proxy."
            ) from error
        if status != 200:
            raise TrialFailed(
                f"{url} answered {status}; see docs/webhook.md for the meaning of each status."
            )
    else:
        try:
            receive(Sent(headers, body, "this process"))
        except (NotVerified, Unreadable, ModeError, Error) as error:
            raise TrialFailed(f"The delivery was not accepted: {error}") from error
