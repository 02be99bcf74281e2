"""The bodies of answers about runs and the audit log."""

from rest_framework.serializers import (
    BooleanField,
    CharField,
    ChoiceField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
)

from stageapp.api.openapi.answers import Body, texts
from stageapp.models.batches import Direction
from stageapp.models.normalization import State

DIRECTIONS = [direction.value for direction in Direction]
STATES = [state.value for state in State]


class RunInBrief(Body):
    """One run."""

    id = IntegerField()
    target = CharField(help_text="app.Model.field")
    plan = CharField(help_text="the plan's SHA-256")
    state = ChoiceField(STATES)
    actor = CharField()
    rows_total = IntegerField(min_value=0)
    rows_to_change = IntegerField(min_value=0)
    created_at = DateTimeField()
    started_at = DateTimeField(allow_null=True)
    finished_at = DateTimeField(allow_null=True)


class RunPage(Body):
    """Runs, the newest first."""

    next = CharField(allow_null=True, help_text="the path of the runs before these")
    results = RunInBrief(many=True)


class RunProgress(Body):
    """How far a run is, in the direction that it is going."""

    direction = ChoiceField(DIRECTIONS)
    percent = FloatField(min_value=0, max_value=100)
    rows = IntegerField(min_value=0, help_text="looked at, of `of`")
    of = IntegerField(min_value=0)
    changed = IntegerField(min_value=0)
    skipped = IntegerField(min_value=0, help_text="changed by others since, left as they are")
    quarantined = IntegerField(min_value=0)
    sweep = IntegerField(min_value=0)
    rate = FloatField(allow_null=True, help_text="rows a second, over the last 30 s")
    eta_seconds = FloatField(allow_null=True)
    written = IntegerField(min_value=0, help_text="rows that the run has changed in all")
    undone = IntegerField(min_value=0, help_text="of these, by rollbacks of all or a part")
    heartbeat_at = DateTimeField(allow_null=True)
    stuck = BooleanField(help_text="no worker has been heard of for 5 minutes")
    workers = texts()


class RunThrottle(Body):
    """What holds a run back."""

    hold = CharField(allow_null=True, help_text="why it waits at this moment")
    reason = CharField(allow_null=True)
    seconds_by_reason = DictField(
        child=FloatField(min_value=0), help_text="that its workers have waited in all"
    )


class Shard(Body):
    """A range of keys, how far it is, and who works there."""

    direction = ChoiceField(DIRECTIONS)
    round = IntegerField(min_value=0, help_text="0 forward; a rollback's own number")
    shard = IntegerField(min_value=0)
    above = CharField(allow_null=True)
    up_to = CharField(allow_null=True)
    position = CharField(allow_null=True)
    sweep = IntegerField(min_value=0)
    rows = IntegerField(min_value=0)
    changed = IntegerField(min_value=0)
    skipped = IntegerField(min_value=0)
    quarantined = IntegerField(min_value=0)
    finished = BooleanField()
    worker = CharField(allow_null=True, help_text="who holds it at this moment")
    heartbeat_at = DateTimeField(allow_null=True)


class RunProof(Body):
    """Whether it is proved, as the rows are now, that the run stands."""

    stands = BooleanField()
    run = IntegerField(allow_null=True)
    reasons = texts()
    verification = IntegerField(allow_null=True)
    verified_at = DateTimeField(allow_null=True)
    verified_by = CharField(allow_null=True)
    drift_looked_at = DateTimeField(allow_null=True)
    drift_known_rows = IntegerField(allow_null=True)


class RunInFull(RunInBrief):
    """One run: how far, how fast, by whom, and what holds it."""

    estimated_seconds = FloatField(allow_null=True, help_text="of the plan, without rests")
    last_error = CharField(allow_blank=True)
    verified = BooleanField(
        allow_null=True,
        help_text="what the newest verification found; `proof` says whether it still counts",
    )
    proof = RunProof()
    workers_draining = BooleanField(help_text="workers take up no run")
    throttle = RunThrottle()
    progress = RunProgress()
    shards = Shard(many=True)


class Undoing(Body):
    """The batch of a rollback that gave the old value back."""

    batch = IntegerField()
    at = DateTimeField()


class LogEntry(Body):
    """One changed row with its true old and new value."""

    id = CharField()
    row = CharField(help_text="the primary key")
    old = CharField(allow_blank=True)
    new = CharField(allow_blank=True)
    run = IntegerField()
    batch = IntegerField()
    direction = ChoiceField(DIRECTIONS)
    at = DateTimeField()
    undone_by = Undoing(allow_null=True)


class EntryPage(Body):
    """Entries, the oldest first."""

    next = CharField(allow_null=True, help_text="the path of the entries after these")
    results = LogEntry(many=True)
