"""What the drift watch found, per target."""

from django.db import models


class DriftCheck(models.Model):
    """The newest look at a normalized column: rows that hold something else again."""

    target = models.CharField(max_length=200, unique=True, help_text="app.Model.field")
    run = models.BigIntegerField(help_text="the newest run that stands: it is compared with what that one left")
    checked_at = models.DateTimeField(help_text="when the rows were read; a look that found no write keeps it")
    looked_at = models.DateTimeField(help_text="when the watch last came by")
    writes = models.BigIntegerField(help_text="PostgreSQL's counter of the table's writes at that time")
    vocabulary_version = models.BigIntegerField(default=0, help_text="the one that the values were read with")
    options = models.JSONField(default=dict, help_text="the target's where, form and source then")
    known_rows = models.BigIntegerField(default=0, help_text="rows whose spelling is known but is not the stage")
    unknown_rows = models.BigIntegerField(default=0, help_text="rows with unknown values that the run did not leave")
    spellings = models.JSONField(default=list, help_text="[{value, stage, reason, rows}], the most frequent first")
    problem = models.TextField(blank=True, default="", help_text="why the last look failed, if it did")

    class Meta:
        default_permissions = ("view",)
        ordering = ["target"]

    def __str__(self) -> str:
        return f"{self.target}: {self.known_rows + self.unknown_rows} rows since run {self.run}"
