"""Batches, checkpoints and the audit log: read-only, and fast on millions of rows."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from stageapp.admin.screens import BoundedAdmin, StockAdmin
from stageapp.admin.site import site
from stageapp.audit import history, log
from stageapp.models.batches import AuditEntry, Batch, Checkpoint, QuarantinedRow
from stageapp.models.normalization import Run

NEWEST_RUNS = 20


class RunFilter(admin.SimpleListFilter):
    """Filters by run; offers the newest runs, older ones are linked from their own page."""

    title = "run"
    parameter_name = "run"

    def lookups(self, request: HttpRequest, model_admin: StockAdmin) -> list[tuple[str, str]]:
        runs = Run.objects.values_list("pk", "target")[:NEWEST_RUNS]
        chosen = self.value()
        offered = [(str(pk), f"Run {pk} ({target})") for pk, target in runs]
        return (
            offered
            if not chosen or chosen in dict(offered)
            else [(chosen, f"Run {chosen}"), *offered]
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the rows of the chosen run; none if the choice is not a number."""
        chosen = self.value()
        if not chosen:
            return queryset
        return self.of_run(queryset, int(chosen)) if chosen.isdecimal() else queryset.none()

    def of_run(self, queryset: QuerySet[Any], run: int) -> QuerySet[Any]:
        return queryset.filter(run=run)


class LogRunFilter(RunFilter):
    """Filters the audit log by run, through the run's batches, which are indexed."""

    def of_run(self, queryset: QuerySet[Any], run: int) -> QuerySet[Any]:
        return queryset.filter(batch__in=Batch.objects.filter(run=run))


class BatchFilter(admin.SimpleListFilter):
    """Filters by one batch; linked from the run's page and the list of batches."""

    title = "batch"
    parameter_name = "batch"

    def lookups(self, request: HttpRequest, model_admin: StockAdmin) -> list[tuple[str, str]]:
        chosen = request.GET.get("batch", "")
        return [(chosen, f"Batch {chosen}")] if chosen else []

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the entries of the chosen batch; none if the choice is not a number."""
        chosen = self.value()
        if not chosen:
            return queryset
        known = chosen.isascii() and chosen.isdecimal() and int(chosen) < 2**63
        return queryset.filter(batch=int(chosen)) if known else queryset.none()


class EntryList(ChangeList):
    """One page of the log, each entry with the batch that undid it."""

    def get_results(self, request: HttpRequest) -> None:
        """Fetch the batches that undid the page's entries in one query."""
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        undone = history.undone_by(self.result_list)
        for entry in self.result_list:
            entry.undone = undone.get(entry.pk)


@admin.register(AuditEntry, site=site)
class AuditEntryAdmin(BoundedAdmin):
    """Every changed row with its exact old and new value, newest first."""

    list_display = [
        "row_key",
        "shown_old",
        "shown_new",
        "run",
        "direction",
        "batch_id",
        "at",
        "undone_by",
    ]
    list_display_links = None
    list_filter = [LogRunFilter, BatchFilter]
    search_fields = ["row_key"]
    search_help_text = "The full primary key of a row: shows its history across all runs."
    ordering = ["-block_id", "place"]
    sortable_by = ()  # any other order would read the whole table
    list_select_related = ["batch"]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EntryList

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """Read through `log()`, the only access to the audit log."""
        return log.log().order_by(*self.ordering)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Find a row's entries by the batches' key ranges; the view itself has no index."""
        if not search_term.strip():
            return queryset, False
        entries = log.of_row(search_term)
        return queryset.filter(
            pk__in=[entry.pk for entry in entries], block__in=[entry.block_id for entry in entries]
        ), False

    @admin.display(description="old value")
    def shown_old(self, entry: AuditEntry) -> str:
        """Return the value with spaces and line ends visible."""
        return repr(entry.old)

    @admin.display(description="new value")
    def shown_new(self, entry: AuditEntry) -> str:
        """Return the value with spaces and line ends visible."""
        return repr(entry.new)

    @admin.display(description="run")
    def run(self, entry: AuditEntry) -> str:
        address = reverse("admin:stageapp_run_change", args=[entry.batch.run_id])
        return format_html('<a href="{}">Run {}</a>', address, entry.batch.run_id)

    @admin.display(description="direction")
    def direction(self, entry: AuditEntry) -> str:
        return entry.batch.direction

    @admin.display(description="undone by", empty_value="–")
    def undone_by(self, entry: AuditEntry) -> str | None:
        """Return the rollback batch and its commit time, None while the change is in effect."""
        batch: Batch | None = getattr(entry, "undone", None)
        return f"batch {batch.pk}, {batch.committed_at:%Y-%m-%d %H:%M:%S} UTC" if batch else None

    @admin.display(description="committed at")
    def at(self, entry: AuditEntry) -> Any:
        """Return the batch's commit time."""
        return entry.batch.committed_at


@admin.register(Batch, site=site)
class BatchAdmin(BoundedAdmin):
    """Every committed transaction of every run, newest first."""

    list_display = [
        "id",
        "run_id",
        "direction",
        "shard",
        "sweep",
        "number",
        "last_key",
        "entries",
        "scanned",
        "changed",
        "seconds",
        "committed_at",
    ]
    list_filter = [RunFilter, "direction"]
    ordering = ["-id"]
    sortable_by = ()

    @admin.display(description="audit log")
    def entries(self, batch: Batch) -> str:
        """Return a link to the rows it changed."""
        address = reverse("admin:stageapp_auditentry_changelist", query={"batch": batch.pk})
        return format_html('<a href="{}">entries</a>', address)


@admin.register(Checkpoint, site=site)
class CheckpointAdmin(BoundedAdmin):
    """How far each run has committed."""

    list_display = [
        "run_id",
        "direction",
        "round",
        "shard",
        "holder",
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


@admin.register(QuarantinedRow, site=site)
class QuarantinedRowAdmin(BoundedAdmin):
    """Rows that the database refused to change, with its error message."""

    list_display = ["run_id", "row_key", "value", "error", "created_at"]
    list_filter = [RunFilter]
    ordering = ["-id"]
    sortable_by = ()
