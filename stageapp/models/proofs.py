"""What was proved about a column, and what has changed it since: verifications, the jobs that make
them, and writes outside runs.

Verifications and writes are append-only; a trigger in the database holds that.
"""

from django.db import models
from django.db.models import Q

from stageapp.infrastructure.locks import Lock
from stageapp.models.jobs import Job
from stageapp.models.normalization import Run
from stageapp.models.recorded import HAS_A_REASON, Recorded


class Verification(models.Model):
    """A finished comparison of a run's rows with its audit log and the vocabulary. Append-only.

    `batches` and `writes` are how many of each had changed the target when it began. With one more
    of either, the rows are no longer those that were compared.
    """

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="verifications")
    by_run = models.BooleanField(help_text="it ended the run; otherwise a user requested it")
    actor = models.CharField(max_length=200)
    reason = models.TextField()
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    vocabulary_version = models.BigIntegerField()
    options = models.JSONField(default=dict, help_text="the target's where, form and source")
    last_batch = models.BigIntegerField(help_text="the target's newest batch at that time; 0: none")
    batches = models.BigIntegerField(help_text="of any run of the target, in either direction")
    writes = models.BigIntegerField(help_text="imports, edits and drift known then")
    ok = models.BooleanField(help_text="rows and log agree, and no known spelling is left")
    found = models.JSONField(help_text="the counts, and the rows by (old, new)")

    class Meta:
        default_permissions = ("view",)
        ordering = ["-id"]
        indexes = [models.Index(fields=["run", "-id"], name="verification_of_run")]
        constraints = [HAS_A_REASON]

    def __str__(self) -> str:
        return f"verification {self.pk} of run {self.run_id}"


class VerificationJob(Job):
    """A verification to make."""

    LOCK = Lock.VERIFICATION_JOB

    run = models.ForeignKey(Run, on_delete=models.PROTECT, related_name="verification_jobs")
    rows = models.BigIntegerField(default=0, help_text="compared so far")
    attempts = models.PositiveSmallIntegerField(default=0)
    verification = models.OneToOneField(
        Verification, null=True, blank=True, on_delete=models.PROTECT, related_name="job"
    )
    began_at = models.DateTimeField(null=True, blank=True)

    class Meta(Job.Meta):
        constraints = [
            HAS_A_REASON,
            models.UniqueConstraint(
                fields=["run"],
                condition=Q(state__in=list(Job.ACTIVE)),
                name="one_active_verification_job",
            ),
        ]

    def __str__(self) -> str:
        return f"verification job {self.pk} of run {self.run_id} ({self.state})"


class TargetWrite(Recorded):
    """Rows of a target that changed outside its runs. Append-only."""

    IMPORT, EDIT, DRIFT = "import", "edit", "drift"
    KINDS = [
        (IMPORT, "imported"),
        (EDIT, "edited"),
        (DRIFT, "found with known spellings"),
    ]

    target = models.CharField(max_length=200, help_text="app.Model.field")
    kind = models.CharField(max_length=10, choices=KINDS)
    rows = models.BigIntegerField()

    class Meta(Recorded.Meta):
        indexes = [models.Index(fields=["target", "-id"], name="write_of_target")]

    def __str__(self) -> str:
        return f"{self.rows} rows of {self.target} {self.get_kind_display()}"
