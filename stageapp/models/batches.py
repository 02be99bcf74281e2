"""The workers' commits: checkpoints of shards, batches, the audit log and quarantined rows.

Batches, log and quarantine are append-only, enforced by a database trigger.
"""

from django.contrib.postgres.fields import ArrayField, BigIntegerRangeField
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import Q

from stageapp.models.normalization import Run


class Direction(models.TextChoices):
    """Which way a batch writes. `verify` writes nothing: its checkpoint is there for the lease."""

    FORWARD = "forward"
    ROLLBACK = "rollback"
    VERIFY = "verify"


class Checkpoint(models.Model):
    """How far one shard of a run has committed, and which worker holds it; written in the batch's
    own transaction.

    The worker that took the shard last has the newest `token`. Only a batch with that token
    commits.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="checkpoints")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    round = models.PositiveSmallIntegerField(
        default=0, help_text="0 for the run itself; a rollback's own number"
    )
    shard = models.PositiveSmallIntegerField(default=0)
    lower = models.TextField(
        blank=True, default="", help_text="keys above this one; empty: from the start of the table"
    )
    upper = models.TextField(
        blank=True, default="", help_text="up to this key; empty: to the end of the table"
    )
    sweep = models.PositiveSmallIntegerField(
        default=0, help_text="0 is the main pass; later sweeps find latecomers"
    )
    position = models.TextField(
        blank=True,
        default="",
        help_text="forward: the last key committed; rollback: the last batch undone, or batch:key "
        "within one",
    )
    batches = models.PositiveIntegerField(default=0)
    scanned = models.BigIntegerField(default=0)
    changed = models.BigIntegerField(default=0)
    skipped = models.BigIntegerField(
        default=0, help_text="rows that others have changed since; left as they are"
    )
    quarantined = models.PositiveIntegerField(default=0)
    finished = models.BooleanField(default=False)
    updated_at = models.DateTimeField(auto_now=True)

    holder = models.CharField(max_length=200, blank=True, default="")
    token = models.BigIntegerField(
        default=0, help_text="the fencing token: increases each time the shard is leased"
    )
    leased_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    backend_pid = models.IntegerField(
        null=True, blank=True, help_text="the holder's PostgreSQL session"
    )
    backend_started = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["run", "direction", "round", "shard"],
                name="one_checkpoint_per_shard_and_round",
            )
        ]

    def __str__(self) -> str:
        return (
            f"{self.direction} shard {self.shard}, sweep {self.sweep}, at "
            f"{self.position or 'the start'}"
        )


class Batch(models.Model):
    """One committed transaction of a run. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="batches")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    round = models.PositiveSmallIntegerField(default=0)
    shard = models.PositiveSmallIntegerField(default=0)
    sweep = models.PositiveSmallIntegerField(default=0)
    number = models.PositiveIntegerField()
    last_key = models.TextField(help_text="the checkpoint this batch committed")
    undoes = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="undone_by"
    )
    places = BigIntegerRangeField(
        null=True,
        blank=True,
        help_text="from the first changed key to the last, by stageapp_place()",
    )
    scanned = models.IntegerField()
    changed = models.IntegerField()
    seconds = models.FloatField()
    committed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "batches"
        indexes = [GistIndex(fields=["places"], name="batch_places")]
        constraints = [
            models.UniqueConstraint(
                fields=["run", "direction", "round", "shard", "number"],
                name="one_batch_per_number_and_round",
            )
        ]

    def __str__(self) -> str:
        return f"batch {self.number} ({self.direction}) of run {self.run_id}"


class NormalizationLog(models.Model):
    """All rows of one batch that changed from one value to another, as the audit log stores them.
    Append-only.

    Only `audit.log` reads and writes it. `AuditEntry` shows it row by row.
    """

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="log")
    old = models.TextField()
    new = models.TextField()
    keys = ArrayField(
        models.BigIntegerField(), null=True, blank=True, help_text="integer primary keys, ascending"
    )
    uuids = ArrayField(
        models.UUIDField(), null=True, blank=True, help_text="UUID primary keys, ascending"
    )

    class Meta:
        default_permissions = ("view",)
        verbose_name = "audit block"
        constraints = [
            models.CheckConstraint(condition=~Q(old=models.F("new")), name="an_entry_is_a_change"),
            models.CheckConstraint(
                condition=Q(keys__isnull=True, uuids__isnull=False)
                | Q(keys__isnull=False, uuids__isnull=True),
                name="a_block_has_one_kind_of_key",
            ),
        ]

    def __str__(self) -> str:
        return f"{len(self.keys or self.uuids or [])} rows: {self.old[:40]!r} → {self.new[:40]!r}"


class AuditEntry(models.Model):
    """One changed row with its original old and new value: a view over the log."""

    id = models.CharField(primary_key=True, max_length=40)
    block = models.ForeignKey(NormalizationLog, on_delete=models.DO_NOTHING, related_name="+")
    batch = models.ForeignKey(Batch, on_delete=models.DO_NOTHING, related_name="entries")
    place = models.IntegerField(help_text="position in its block, from 1")
    row_key = models.TextField(help_text="the row's primary key, as text")
    old = models.TextField()
    new = models.TextField()

    class Meta:
        managed = False
        db_table = "stageapp_auditentry"
        default_permissions = ("view",)
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"

    def __str__(self) -> str:
        return f"row {self.row_key}: {self.old[:40]!r} → {self.new[:40]!r}"


class QuarantinedRow(models.Model):
    """A row that no batch could change, with PostgreSQL's error. Append-only."""

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="quarantine")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    shard = models.PositiveSmallIntegerField(default=0)
    row_key = models.TextField()
    value = models.TextField(blank=True, default="")
    error = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"row {self.row_key} of run {self.run_id}: {self.error[:60]}"
