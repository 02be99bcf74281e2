"""The queue of unknown values: where they were seen, and what was decided about them."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When

from stageapp.models.consumers import ConsumerSighting
from stageapp.models.vocabulary import REASON_CHOICES, StageAlias, VocabularyVersion

JUNK_PREFIX = "sha256:"  # no key begins so: the rules drop a colon
OVERFLOW = "overflow:"  # counts what exceeded the bounds


class UnknownEntries(models.Manager["UnknownEntry"]):
    """Derives the state of an entry from the aliases, so that the two never disagree."""

    def get_queryset(self) -> QuerySet["UnknownEntry"]:
        """Annotate each entry with its `state`: open, mapped, declared or ignored."""
        aliases = StageAlias.objects.filter(
            Q(stage=None) | Q(stage__active=True), key=OuterRef("key")
        )
        everywhere = aliases.filter(source="")
        for_some = (
            Exists(aliases)
            & ~Exists(_unclaimed(UnknownCount))
            & ~Exists(_unclaimed(ConsumerSighting))
        )
        state = Case(
            When(Exists(everywhere.filter(stage__isnull=False)), then=Value("mapped")),
            When(Exists(everywhere), then=Value("declared")),
            When(ignored=True, then=Value("ignored")),
            When(for_some & Exists(aliases.filter(stage__isnull=False)), then=Value("mapped")),
            When(for_some, then=Value("declared")),
            default=Value("open"),
            output_field=models.CharField(),
        )
        annotations: dict[str, Any] = {"state": state}
        return super().get_queryset().annotate(**annotations)

    def in_state(self, state: str) -> QuerySet["UnknownEntry"]:
        return self.get_queryset().filter(Q(("state", state)))


def _unclaimed(seen: type[models.Model]) -> QuerySet[Any]:
    """Return the outer entry's sightings from sources for which no alias claims its key."""
    name, here = "source", Q(entry=OuterRef("pk"))
    if seen is ConsumerSighting:
        name, here = "consumer", Q(key=OuterRef("key"), outcome="unknown")
    claimed = StageAlias.objects.filter(key=OuterRef(OuterRef("key")), source=OuterRef(name))
    return seen._default_manager.filter(here).exclude(Exists(claimed))


class UnknownEntry(models.Model):
    """One unknown value in all its spellings.

    `key` is what the text rules leave of it. If they leave nothing, it is empty for blanks, and
    `sha256:` with the digest of the JSON form for junk. `examples` are ASCII JSON strings, so that
    a NUL or a lone surrogate is kept; one that was cut ends in "…" after its quotation mark.
    `state` (of `objects`) is open, mapped, declared or ignored.
    """

    MOST_EXAMPLES = 5
    LONGEST_EXAMPLE = 512

    key = models.CharField(max_length=256, unique=True)
    reason = models.CharField(max_length=20, choices=REASON_CHOICES)
    examples = ArrayField(models.TextField(), default=list)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    ignored = models.BooleanField(default=False)
    # The newest decision. Mapping or declaring changes the vocabulary; the version says what to
    # undo.
    decided_by = models.CharField(max_length=200, blank=True, default="")
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_why = models.TextField(blank=True, default="")
    version = models.ForeignKey(
        VocabularyVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    state: str  # of what `objects` reads
    # What `unknowns.queue.queue` adds to an entry.
    rows: int
    imported: int
    requests: int
    impact: int

    objects = UnknownEntries()
    stored = models.Manager["UnknownEntry"]()

    class Meta:
        default_permissions = ("view",)
        base_manager_name = "stored"
        verbose_name_plural = "unknown entries"
        ordering = ["-last_seen", "key"]

    def __str__(self) -> str:
        return self.key or self.reason

    @property
    def takes_alias(self) -> bool:
        """Whether an alias can claim this value: a blank or a digest has no key to claim."""
        return bool(self.key) and self.key != OVERFLOW and not self.key.startswith(JUNK_PREFIX)


class UnknownCount(models.Model):
    """How often an unknown was seen outside the API; `ConsumerSighting` counts what consumers send.

    For an import it is the sum of its rows of the day. For a table or a bypass it is the number of
    rows that held the value at the last check.
    """

    KINDS = [(name, name) for name in ("import", "table", "bypass")]

    entry = models.ForeignKey(UnknownEntry, on_delete=models.CASCADE, related_name="counts")
    kind = models.CharField(max_length=10, choices=KINDS)
    place = models.CharField(max_length=200, help_text="the import's name, or the target")
    source = models.CharField(
        max_length=200, blank=True, default="", help_text="as an alias's source"
    )
    day = models.DateField()
    count = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        ordering = ["-day", "kind", "place"]
        constraints = [
            models.UniqueConstraint(
                fields=["entry", "kind", "place", "source", "day"],
                name="one_count_per_place_and_day",
            )
        ]
        indexes = [models.Index(fields=["kind", "place"])]

    def __str__(self) -> str:
        return f"{self.kind} {self.place} {self.day}: {self.count}"


class DriftCheck(models.Model):
    """The newest drift check of a normalized column: rows that differ again."""

    target = models.CharField(max_length=200, unique=True, help_text="app.Model.field")
    run = models.BigIntegerField(
        help_text="the newest run that stands; rows are compared with what it left"
    )
    checked_at = models.DateTimeField(
        help_text="when the rows were last read; unchanged if nothing was written since"
    )
    looked_at = models.DateTimeField(help_text="when the watch last checked")
    writes = models.BigIntegerField(
        help_text="PostgreSQL's count of writes to the table at that time"
    )
    vocabulary_version = models.BigIntegerField(
        default=0, help_text="the version that the values were read with"
    )
    options = models.JSONField(
        default=dict, help_text="the target's where, form and source at that time"
    )
    known_rows = models.BigIntegerField(
        default=0, help_text="rows with a known spelling instead of the stage"
    )
    unknown_rows = models.BigIntegerField(
        default=0, help_text="rows with unknown values that the run did not leave there"
    )
    spellings = models.JSONField(
        default=list, help_text="[{value, stage, reason, rows}], the most frequent first"
    )
    problem = models.TextField(
        blank=True, default="", help_text="why the last check failed, if it did"
    )

    class Meta:
        default_permissions = ("view",)
        ordering = ["target"]

    def __str__(self) -> str:
        return f"{self.target}: {self.known_rows + self.unknown_rows} rows since run {self.run}"
