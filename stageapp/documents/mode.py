"""The mode in force."""

from rest_framework.serializers import (
    CharField,
    ChoiceField,
    DateField,
    DateTimeField,
    IntegerField,
    SerializerMethodField,
)

from stageapp.documents.body import Body
from stageapp.mode import store
from stageapp.mode.store import STRICTNESS, ModeState

MODE_SOURCES = ["default", "postgres", "redis", "last_known"]


class ModeInForce(Body):
    """The mode, and how fresh that is."""

    mode = ChoiceField(list(STRICTNESS))
    percent = IntegerField(min_value=1, max_value=100)
    epoch = IntegerField()
    version = IntegerField()
    enforce_on = DateField(allow_null=True)
    source = ChoiceField(MODE_SOURCES, help_text="who confirmed it last")  # type: ignore[assignment]  # a field has a source too
    since = DateTimeField(allow_null=True, help_text="when warnings to callers began")
    age = SerializerMethodField(help_text="seconds since a store last confirmed it")
    warning = CharField(
        required=False, help_text="after a change: Redis is unreachable, processes follow later"
    )

    def get_age(self, state: ModeState) -> float | None:
        return store.age_seconds()
