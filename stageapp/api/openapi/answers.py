"""Response bodies for the document; the views build them as plain dictionaries."""

from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateField,
    DateTimeField,
    DictField,
    IntegerField,
)

from stageapp import conf
from stageapp.documents.body import Body, share, texts
from stageapp.models.vocabulary import REASON_CHOICES

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
