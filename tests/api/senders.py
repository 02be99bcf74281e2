"""What senders of the webhook send: notifications as Alertmanager writes them, with each kind of
credential.
"""

import hashlib
import hmac
import json
import time

from stageapp.webhook import signatures
from stageapp.webhook.sending import PATH

SECRET = "correct horse battery staple 4711".replace(" ", "-")
OTHER = "another-secret-for-the-rotation-0815"
TOKEN = "t0ken." * 8
JSON = "application/json"


def alert(
    name="RejectsFastBurn",
    *,
    status="firing",
    action="downgrade",
    since="2026-01-31T12:00:00.5Z",
    **labels,
):
    """Return one alert, as Alertmanager (version 4) writes it."""
    named = {"alertname": name, **({"action": action} if action else {}), **labels}
    print_of = hashlib.sha256(json.dumps(sorted(named.items())).encode()).hexdigest()[:16]
    return {
        "status": status,
        "labels": named,
        "annotations": {"summary": "too many are refused"},
        "startsAt": since,
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": print_of,
    }


def body(*alerts, **more):
    """Return a notification of these alerts, one of them if none is given."""
    told = list(alerts) or [alert()]
    firing = any(one["status"] == "firing" for one in told)
    return json.dumps(
        {
            "version": "4",
            "groupKey": "{}:{}",
            "truncatedAlerts": 0,
            "status": "firing" if firing else "resolved",
            "receiver": "downgrade",
            "groupLabels": {"alertname": told[0]["labels"]["alertname"]},
            "commonLabels": {},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager:9093",
            "alerts": told,
            **more,
        }
    ).encode()


def signed(sent, id="msg_1", *, secret=SECRET, at=None):
    """Return the headers of Standard Webhooks."""
    return signatures.signed_headers(
        secret.encode(), id, int(time.time() if at is None else at), sent
    )


def hex_signed(sent, *, secret=SECRET):
    """Return the header of a body that is signed as a whole."""
    return {"X-Alertmanager-Signature": hmac.new(secret.encode(), sent, hashlib.sha256).hexdigest()}


def stamped(at, *alerts):
    """Return a notification that says itself when it was sent."""
    return body(*alerts, groupLabels={"timestamp": at})


def bearing(token=TOKEN):
    """Return the header that Alertmanager brings by itself."""
    return {"Authorization": f"Bearer {token}"}


def deliver(client, sent, headers):
    """Post a body by Django's test client."""
    return client.post(PATH, sent, content_type=JSON, headers=headers)
