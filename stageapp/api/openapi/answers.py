"""Bodies for the document that the views read and build as plain dictionaries."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
    ListField,
    URLField,
)

from stageapp import conf
from stageapp.api.openapi.fields import Schema
from stageapp.documents.body import Body, share, texts
from stageapp.models.vocabulary import REASON_CHOICES
from stageapp.models.webhook import RESULTS

VERDICTS = ["canonical", "normalized", "unknown"]


class UnknownValue(Body):
    """A value that names no stage, and its place in the request."""

    pointer = CharField(
        required=False, allow_blank=True, help_text="JSON pointer (RFC 6901) into the body"
    )
    parameter = CharField(required=False, help_text="or the query parameter")
    value = CharField(allow_blank=True)
    reason = ChoiceField(REASON_CHOICES)
    suggestions = texts(max_length=1)


class RetiredValue(Body):
    """A value that is understood; send `stage` instead."""

    pointer = CharField(
        required=False, allow_blank=True, help_text="JSON pointer (RFC 6901) into the body"
    )
    parameter = CharField(required=False, help_text="or the query parameter")
    value = CharField(allow_blank=True)
    stage = CharField()


class StageValidation(Body):
    """The validator's findings; absent in the mode `off`."""

    mode = ChoiceField(conf.MODES)
    verdict = ChoiceField(VERDICTS)
    would_reject = BooleanField(help_text="whether `enforce` would refuse the request")
    enforce_on = DateField(
        allow_null=True,
        help_text="the announced day, as in the Sunset header; until it is over or the caller is "
        "refused",
    )
    vocabulary_version = IntegerField()
    unknown = UnknownValue(many=True)
    retired = RetiredValue(many=True)
    unallocated = share(required=False, help_text="share of the weight on unknown stages")


class Judged(Body):
    """The response of an endpoint that takes stages."""

    stage_validation = StageValidation(required=False)


class Stage(Body):
    """One canonical stage."""

    stage = CharField()
    label = CharField()  # type: ignore[assignment]  # a field has a label too


class StageList(Body):
    """The vocabulary."""

    vocabulary_version = IntegerField()
    stages = Stage(many=True)


class NormalizedValue(Body):
    """What one value means."""

    value = CharField(allow_blank=True)
    stage = CharField(allow_null=True)
    reason = ChoiceField(REASON_CHOICES, allow_null=True)
    suggestions = texts(max_length=1)


class NormalizedValues(Body):
    """What the values mean, in order."""

    vocabulary_version = IntegerField()
    results = NormalizedValue(many=True)


class RetiredSpelling(Body):
    """A spelling that is understood, and what to send instead."""

    spelling = CharField()
    send = CharField()


class Sent(Body):
    """How often the caller sent a value."""

    value = CharField(allow_blank=True)
    requests = IntegerField()
    endpoints = texts()
    last_sent = DateField(allow_null=True)


class SentRetired(Sent):
    """A retired spelling that the caller sent."""

    send = CharField()


class SentUnknown(Sent):
    """An unknown value that the caller sent."""

    reason = ChoiceField(REASON_CHOICES, allow_null=True)
    suggestions = texts()


class YouSent(Body):
    """What the caller recently sent that is not a canonical stage."""

    days = IntegerField()
    retired = SentRetired(many=True)
    unknown = SentUnknown(many=True)


class DeprecationNotice(Body):
    """What to stop sending, and when unknown stages will be refused."""

    mode = ChoiceField(conf.MODES)
    percent = IntegerField(min_value=1, max_value=100)
    effective_mode = ChoiceField(
        conf.MODES, help_text="the mode that applies to the caller's own requests"
    )
    since = DateTimeField(allow_null=True)
    until = DateField(
        allow_null=True,
        help_text="the day from which unknown stages are refused to this caller, until it is over",
    )
    valid_stages = texts()
    retired = RetiredSpelling(many=True)
    you_sent = YouSent()


def shares() -> DictField:
    """Return a field for a map from canonical stage to share."""
    return DictField(child=share())


# About funds: simulations, allocations, strategies, companies.


CENTS = r"^-?[0-9]+\.[0-9]{2}$"


@extend_schema_field({"type": "string", "pattern": CENTS})
class Cents(CharField):
    """An amount with two decimals."""


class Histogram(Body):
    """Counts of simulated runs between adjacent edges."""

    edges = ListField(child=FloatField())
    counts = ListField(child=IntegerField(min_value=0))


class PeriodRates(Body):
    """Annual rates if everything came back after this many years."""

    years = IntegerField()
    p25 = FloatField()
    p50 = FloatField()
    p75 = FloatField()


class StageOutcome(Body):
    """One stage: its simulated mean multiple next to the closed form."""

    stage = CharField()
    weight = share()
    companies = IntegerField(min_value=1)
    mean_multiple = FloatField()
    standard_error = FloatField(allow_null=True)
    expected_multiple = FloatField()
    holding_years = FloatField()
    expected_irr = FloatField()


class Simulation(Judged):
    """A fund's simulated outcome: multiples of its size, annual rates."""

    fund_size = Cents()
    runs = IntegerField()
    seed = IntegerField()
    unallocated = share(help_text="held as cash")
    mean = FloatField()
    standard_error = FloatField(allow_null=True)
    expected = FloatField(help_text="closed-form mean")
    percentiles = DictField(child=FloatField(), help_text="p5 … p95")
    probability_1x = share()
    probability_3x = share()
    histogram = Histogram()
    irr = DictField(child=FloatField(), help_text="p5 … p95")
    irr_by_holding_period = PeriodRates(many=True)
    stages = StageOutcome(many=True)


class StagePlan(Body):
    """One stage's amounts."""

    stage = CharField()
    initial = Cents()
    need = Cents()
    reserve = Cents()


class Allocation(Judged):
    """A fund's allocation; initials, reserves, surplus and unallocated sum to fund_size exactly."""

    fund_size = Cents()
    reserve_ratio = share()
    stages = StagePlan(many=True)
    surplus = Cents()
    unallocated_initial = Cents()
    unallocated_reserve = Cents()
    coverage = share(allow_null=True, help_text="reserve divided by need; null if there is no need")


class SentEntry(Body):
    """A stage and its weight as sent."""

    stage = CharField(allow_blank=True)
    weight = FloatField()


class StoredStrategy(Body):
    """A strategy as sent, and as understood when it was saved."""

    id = IntegerField()
    name = CharField()
    stage_allocation = shares()
    unallocated = share()
    as_sent = SentEntry(many=True)
    vocabulary_version = IntegerField()
    created_at = DateTimeField()


class SavedStrategy(StoredStrategy, Judged):
    """One strategy, with the validator's findings."""


class Company(Body):
    """A company: its stage as stored, and its meaning."""

    id = IntegerField()
    name = CharField()
    stage = CharField(allow_blank=True)
    canonical_stage = CharField(allow_null=True)
    sector = CharField(allow_blank=True)
    updated_at = DateTimeField()


class Page(Body):
    """One page of a list."""

    count = IntegerField(min_value=0)
    next = URLField(allow_null=True)
    previous = URLField(allow_null=True)


class CompanyPage(Page, Judged):
    """Companies, with the validator's findings about the filter."""

    results = Company(many=True)


class StrategyPage(Page):
    """Strategies, newest first."""

    results = StoredStrategy(many=True)


# The webhook, which reads the raw body itself: what it takes and answers, and who may send.


_BELIEVED = [result for result, _ in RESULTS if result not in ("unreadable", "refused")]

WEBHOOK_SCHEMES: dict[str, Schema] = {
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
NOTIFICATION_EXAMPLE: dict[str, Any] = {
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
