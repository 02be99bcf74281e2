"""The webhook's request and response for the document; the webhook reads the raw body itself."""

from typing import Any

from rest_framework.serializers import CharField, ChoiceField, DictField, IntegerField

from stageapp.api.openapi.fields import Schema
from stageapp.documents.body import Body
from stageapp.models.webhook import RESULTS

_BELIEVED = [result for result, _ in RESULTS if result not in ("unreadable", "refused")]

SCHEMES: dict[str, Schema] = {
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "webhook-signature",
        "description": (
            "Standard Webhooks: `v1,` followed by the base64 of the HMAC-SHA256 over "
            "`id.timestamp.body`, with the headers `webhook-id` and `webhook-timestamp`; "
            "tolerance ±300 s."
        ),
    },
    "alertmanagerSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Alertmanager-Signature",
        "description": (
            "The HMAC-SHA256 of the raw body in hex; `groupLabels.timestamp` in the body "
            "is the timestamp; tolerance ±300 s."
        ),
    },
    "alertmanagerBearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "ALERTMANAGER_BEARER_TOKEN, sent by Alertmanager itself.",
    },
}
EXAMPLE: dict[str, Any] = {
    "version": "4",
    "status": "firing",
    "groupLabels": {"alertname": "StageRejectsFastBurn"},
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "StageRejectsFastBurn", "action": "downgrade"},
            "startsAt": "2026-01-31T12:00:00Z",
            "fingerprint": "8a1f3c5d7e9b0a2c",
        }
    ],
}


class FiringAlert(Body):
    """One alert from Alertmanager; other members are not read."""

    status = ChoiceField(["firing", "resolved"])
    labels = DictField(
        child=CharField(allow_blank=True),
        help_text='`action="downgrade"` lowers the mode from `enforce`',
    )
    startsAt = CharField(required=False)  # noqa: N815  their names are not ours
    fingerprint = CharField(required=False)


class AlertNotification(Body):
    """A notification from Alertmanager (version 4); other members are not read."""

    alerts = FiringAlert(many=True)
    groupLabels = DictField(required=False)  # noqa: N815
    test = CharField(
        required=False, help_text="a test's description of itself; a test does not lower the mode"
    )


class DeliveryOutcome(Body):
    """The outcome of the delivery."""

    result = ChoiceField(_BELIEVED)
    version = IntegerField(allow_null=True, help_text="version of the mode, if it was lowered")
