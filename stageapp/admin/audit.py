"""The record of runs: batches, checkpoints and the audit log. Read-only, and fast on millions of rows."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from stageapp.admin.screens import BoundedAdmin, StockAdmin
from stageapp.admin.site import site
from stageapp.models.normalization import Batch, Checkpoint, NormalizationLog, Run
from stageapp.normalization import audit

NEWEST_RUNS = 20


class RunFilter(admin.SimpleListFilter):
    """Filters by run, and offers the newest ones; an older run is reached from its own page."""

    title = "run"
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: StockAdmin) -> list[tuple[str, str]]:
        """Return the newest runs."""
        runs = Run.objects.values_list("pk", "target")[:NEWEST_RUNS]
        chosen = self.value()
        offered = [(str(pk), f"Run {pk} ({target})") for pk, target in runs]
        return offered if not chosen or chosen in dict(offered) else [(chosen, f"Run {chosen}"), *offered]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen run; of none if the choice is no number."""
        chosen = self.value()
        if not chosen:
            return queryset
        return self.of_run(queryset, int(chosen)) if chosen.isdecimal() else queryset.none()

    def of_run(self, queryset: QuerySet[Any], run: int) -> QuerySet[Any]:
        """Return the rows of one run."""
        return queryset.filter(run=run)


class LogRunFilter(RunFilter):
    """Filters the audit log by run, through the run's batches, which are indexed."""

    def of_run(self, queryset: QuerySet[Any], run: int) -> QuerySet[Any]:
        """Return the entries of one run."""
        return queryset.filter(batch__in=Batch.objects.filter(run=run))


@admin.register(NormalizationLog, site=site)
class NormalizationLogAdmin(BoundedAdmin):
    """Every changed row with its true old and new value, newest first."""

    list_display = ["row_key", "shown_old", "shown_new", "run", "direction", "batch_number", "at"]
    list_display_links = None
    list_filter = [LogRunFilter]
    search_fields = ["row_key__exact"]
    search_help_text = "The row's primary key, in full."
    ordering = ["-batch_id", "-id"]
    sortable_by = ()  # any other order would read the whole table
    list_select_related = ["batch"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[NormalizationLog]:
        """Read through the log's only door."""
        return audit.log().order_by(*self.ordering)

    @admin.display(description="old value")
    def shown_old(self, entry: NormalizationLog) -> str:
        """Return the value so that spaces and line ends can be seen."""
        return repr(entry.old)

    @admin.display(description="new value")
    def shown_new(self, entry: NormalizationLog) -> str:
        """Return the value so that spaces and line ends can be seen."""
        return repr(entry.new)

    @admin.display(description="run")
    def run(self, entry: NormalizationLog) -> int:
        """Return the run."""
        return entry.batch.run_id

    @admin.display(description="direction")
    def direction(self, entry: NormalizationLog) -> str:
        """Return forward or rollback."""
        return entry.batch.direction

    @admin.display(description="batch")
    def batch_number(self, entry: NormalizationLog) -> int:
        """Return the batch's number in its run."""
        return entry.batch.number

    @admin.display(description="committed at")
    def at(self, entry: NormalizationLog) -> Any:
        """Return when the batch committed."""
        return entry.batch.committed_at


@admin.register(Batch, site=site)
class BatchAdmin(BoundedAdmin):
    """Every committed transaction of every run, newest first."""

    list_display = [
        "id",
        "run_id",
        "direction",
        "sweep",
        "number",
        "last_key",
        "scanned",
        "changed",
        "seconds",
        "committed_at",
    ]
    list_filter = [RunFilter, "direction"]
    ordering = ["-id"]
    sortable_by = ()


@admin.register(Checkpoint, site=site)
class CheckpointAdmin(BoundedAdmin):
    """How far each run has committed."""

    list_display = [
        "run_id",
        "direction",
        "shard",
        "sweep",
        "position",
        "scanned",
        "changed",
        "skipped",
        "finished",
        "updated_at",
    ]
    list_filter = [RunFilter, "direction", "finished"]
    ordering = ["-id"]
