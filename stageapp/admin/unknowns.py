"""The unknown queue: unmapped values, greatest impact first, and the decisions about them."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Exists, F, Model, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from stageapp.admin.home import drifted
from stageapp.admin.screens import BoundedAdmin, PageAdmin, download
from stageapp.admin.site import site
from stageapp.admin.unknown_decisions import (
    MOST,
    SHOWN_PLACES,
    QueueList,
    choices,
    confirm_view,
    decide_view,
)
from stageapp.admin.vocabulary_versions import curates
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.proofs import TargetWrite
from stageapp.models.unknowns import DriftCheck, UnknownCount, UnknownEntry
from stageapp.models.vocabulary import REASONS, Stage, StageAlias
from stageapp.unknowns.drift import SHOWN_VALUES
from stageapp.unknowns.examples import first_example, visible_example
from stageapp.unknowns.queue import STATES, TRAFFIC_DAYS, export_queue, places, queue, suggestions
from stageapp.vocabulary import snapshot, text

# Filters of the unknown queue.

KINDS = {
    "traffic": "requests",
    "import": "imports",
    "table": "stored rows",
    "bypass": "written outside the API",
}


class StateFilter(admin.SimpleListFilter):
    """Filters by state; by default shows open entries."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((state, state) for state in STATES), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Offer only these choices; `open` is the default."""
        for state, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: state})
            yield {"selected": self.state == state, "query_string": query, "display": label}

    @property
    def state(self) -> str:
        value = self.value()
        return value if value in (*STATES, "all") else "open"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset if self.state == "all" else queryset.filter(Q(("state", self.state)))


class ReasonFilter(admin.SimpleListFilter):
    """Filters by the reason a value is unknown."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(reason, reason.replace("_", " ")) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(reason=self.value()) if self.value() in REASONS else queryset


class KindFilter(admin.SimpleListFilter):
    """Filters by where a value was seen."""

    title = "seen in"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kind = self.value()
        if kind == "traffic":
            sent = ConsumerSighting.objects.filter(key=OuterRef("key"), outcome="unknown")
            return queryset.filter(Exists(sent))
        if kind in KINDS:
            return queryset.filter(
                Exists(UnknownCount.objects.filter(entry=OuterRef("pk"), kind=kind))
            )
        return queryset


SHOWN_SPELLINGS = 8


@admin.register(UnknownEntry, site=site)
class UnknownEntryAdmin(BoundedAdmin, PageAdmin):
    """The unknown queue. No entry is ever decided automatically."""

    page_template = "unknown.html"
    change_list_template = "admin/stageapp/unknown_list.html"
    list_display = ["value", "because", "suggestion", "rows", "requests", "seen_in", "seen"]
    list_filter = [StateFilter, ReasonFilter, KindFilter]
    list_per_page = 50
    list_max_show_all = MOST
    search_fields = ["key"]
    actions = ["decide"]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return curates(request) or super().has_view_permission(request, obj)

    def has_curate_permission(self, request: HttpRequest) -> bool:
        return curates(request)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("decide/", wrap(decide_view), name="stageapp_unknownentry_decide"),
            path("confirm/", wrap(confirm_view), name="stageapp_unknownentry_confirm"),
            path("export/", wrap(self.export_view), name="stageapp_unknownentry_export"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QueueList]:
        return QueueList

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnknownEntry]:
        return queue(None)

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """Order by impact, greatest first."""
        return [F("impact").desc(), "-last_seen", "key"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Search for the term as the text rules reduce it, like keys."""
        return super().get_search_results(
            request, queryset, text.reduce(search_term).key or search_term
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"days": TRAFFIC_DAYS})

    @admin.action(description="Decide the selected values …", permissions=["curate"])
    def decide(self, request: HttpRequest, selected: QuerySet[UnknownEntry]) -> HttpResponse | None:
        """Redirect to the page that offers the decisions; nothing changes yet."""
        numbers = list(selected.order_by().values_list("pk", flat=True)[: MOST + 1])
        if len(numbers) > MOST:
            messages.error(
                request,
                f"At most {MOST} values at once. For more, export the queue, fill in the "
                "file and import it.",
            )
            return None
        query = urlencode({"entries": ",".join(map(str, numbers))})
        return HttpResponseRedirect(f"{reverse('admin:stageapp_unknownentry_decide')}?{query}")

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return the queue as a file."""
        state = request.GET.get("state", "open")
        wanted = state if state in STATES else None
        return download(request, self, "unknown-values", lambda file: export_queue(file, wanted))

    def page_context(self, request: HttpRequest, row: UnknownEntry) -> dict[str, Any]:
        """Return an entry's sources, suggestions and decision forms."""
        suggested = suggestions(row, snapshot.current())
        return {
            "title": "Unknown value",
            "entry": row,
            "value": first_example(row, 200),
            "examples": [(visible_example(example, 512), example) for example in row.examples],
            "meaning": REASONS[row.reason],
            "kinds": KINDS,
            "days": TRAFFIC_DAYS,
            "places": [(place, KINDS[place.kind]) for place in places(row)],
            "aliases": StageAlias.objects.filter(key=row.key).select_related("stage")
            if row.takes_alias
            else [],
            "suggested": [described(stage) for stage in Stage.objects.filter(slug__in=suggested)],
            "choices": choices([row]) if curates(request) else [],
            "numbers": str(row.pk),
        }

    @admin.display(description="value")
    def value(self, entry: UnknownEntry) -> SafeString:
        """Return the value as first written, and its state unless it is open."""
        shown = format_html('<code class="sn-raw">{}</code>', first_example(entry))
        return (
            shown
            if entry.state == "open"
            else format_html('{} <span class="sn-state">{}</span>', shown, entry.state)
        )

    @admin.display(description="reason", ordering="reason")
    def because(self, entry: UnknownEntry) -> str:
        return entry.reason.replace("_", " ")

    @admin.display(description="suggestion")
    def suggestion(self, entry: Any) -> str:
        return ", ".join(entry.suggested) or "–"

    @admin.display(description="rows", ordering="rows")
    def rows(self, entry: UnknownEntry) -> str:
        """Return the target rows that hold it and the imported rows that held it."""
        imported = f"{entry.imported:,} imported" if entry.imported else ""
        return ", ".join(filter(None, [f"{entry.rows:,}" if entry.rows else "", imported])) or "0"

    @admin.display(description=f"requests, {TRAFFIC_DAYS} days", ordering="requests")
    def requests(self, entry: UnknownEntry) -> str:
        """Return the number of requests that held it."""
        return f"{entry.requests:,}"

    @admin.display(description="seen in")
    def seen_in(self, entry: Any) -> SafeString:
        """Return the most frequent sources."""
        first = [(place, f"{count:,}") for place, count in entry.where[:SHOWN_PLACES]]
        shown = format_html_join("", '<span class="sn-pair">{} <i>{}</i></span>', first)
        more = len(entry.where) - SHOWN_PLACES
        return format_html("{} and {} more", shown, more) if more > 0 else shown

    @admin.display(description="first and last seen", ordering="last_seen")
    def seen(self, entry: UnknownEntry) -> str:
        """Return the day first seen and the minute last seen, in UTC."""
        return f"{entry.first_seen:%Y-%m-%d} to {entry.last_seen:%Y-%m-%d %H:%M}"


def described(stage: Stage) -> dict[str, Any]:
    """Return a stage with some of its spellings."""
    spellings = stage.aliases.filter(source="").values_list("spelling", flat=True)[:SHOWN_SPELLINGS]
    return {"stage": stage, "spellings": list(spellings)}


# Drift: the newest look at each normalized column, and what came back into it.


@admin.register(DriftCheck, site=site)
class DriftCheckAdmin(PageAdmin):
    """What was written past the API since a run was done."""

    page_template = "drift.html"
    list_display = [
        "target",
        "run",
        "unknown_rows",
        "known_rows",
        "checked_at",
        "looked_at",
        "problem",
    ]

    def page_context(self, request: HttpRequest, row: DriftCheck) -> dict[str, Any]:
        """Return the values of one check."""
        values = drifted(row)
        return {"title": row.target, "check": row, "values": values, "most": SHOWN_VALUES}


@admin.register(TargetWrite, site=site)
class TargetWriteAdmin(BoundedAdmin):
    """Writes to normalized columns outside their runs; each withdraws the proof before it."""

    list_display = ["created_at", "target", "kind", "rows", "actor", "reason"]
    list_filter = ["kind", "target"]
    sortable_by = ()
