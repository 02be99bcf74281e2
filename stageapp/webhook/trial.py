"""Send a test: a signed delivery like an alert's that says it must not lower anything."""

import json
import time
import uuid

from django.db import Error
from django.utils import timezone

from stageapp import conf
from stageapp.mode.store import ModeError
from stageapp.people import Person
from stageapp.webhook import deliveries, sending, signatures
from stageapp.webhook.authenticators import NotVerified, Sent
from stageapp.webhook.notification import ACTION, DOWNGRADE, Unreadable
from stageapp.webhook.secrets import webhook_secrets
from stageapp.webhook.sending import NotReached

SECONDS = 10.0  # more than the receiver waits for PostgreSQL
ALERT = "StageWebhookTest"


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
        "labels": {"alertname": ALERT, ACTION: DOWNGRADE},
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
            status = sending.post(url, body, headers, SECONDS)
        except NotReached as error:
            raise TrialFailed(
                f"{url} could not be reached ({error}). Check STAGE_BASE_URL and the proxy."
            ) from error
        if status != 200:
            raise TrialFailed(
                f"{url} answered {status}; see docs/webhook.md for the meaning of each status."
            )
    else:
        _directly(Sent(headers, body, "this process"))


def _directly(sent: Sent) -> None:
    try:
        deliveries.receive(sent)
    except (NotVerified, Unreadable, ModeError, Error) as error:
        raise TrialFailed(f"The delivery was not accepted: {error}") from error
