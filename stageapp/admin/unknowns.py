"""The unknown queue: values that nothing maps yet, the greatest impact first, and what was decided about them."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import F, Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from stageapp import vocabulary
from stageapp.admin.curation import curates
from stageapp.admin.raw_text import first_example, visible_example
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.admin.spreadsheets import download
from stageapp.admin.unknown_decisions import MOST, choices, confirm_view, decide_view
from stageapp.admin.unknown_filters import KINDS, KindFilter, ReasonFilter, StateFilter
from stageapp.admin.unknown_rows import SHOWN_PLACES, QueueList
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import REASONS, Stage, StageAlias
from stageapp.text import reduction
from stageapp.unknowns import files
from stageapp.unknowns.queue import STATES, TRAFFIC_DAYS, places, queue, suggestions

SHOWN_SPELLINGS = 8


@admin.register(UnknownEntry, site=site)
class UnknownEntryAdmin(BoundedAdmin, PageAdmin):
    """The queue. Nothing in it is ever decided by itself."""

    page_template = "unknown.html"
    change_list_template = "admin/stageapp/unknown_list.html"
    list_display = ["value", "because", "suggestion", "rows", "requests", "seen_in", "seen"]
    list_filter = [StateFilter, ReasonFilter, KindFilter]
    list_per_page = 50
    list_max_show_all = MOST
    search_fields = ["key"]
    actions = ["decide"]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow curators and viewers."""
        return curates(request) or super().has_view_permission(request, obj)

    def has_curate_permission(self, request: HttpRequest) -> bool:
        """Allow curators."""
        return curates(request)

    def get_urls(self) -> list[URLPattern]:
        """Add the decision, its confirmation and the export."""
        wrap = self.admin_site.admin_view
        return [
            path("decide/", wrap(decide_view), name="stageapp_unknownentry_decide"),
            path("confirm/", wrap(confirm_view), name="stageapp_unknownentry_confirm"),
            path("export/", wrap(self.export_view), name="stageapp_unknownentry_export"),
            *super().get_urls(),
        ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[QueueList]:
        """Return the list that knows where each entry was seen."""
        return QueueList

    def get_queryset(self, request: HttpRequest) -> QuerySet[UnknownEntry]:
        """Return every entry with its figures."""
        return queue(None)

    def get_ordering(self, request: HttpRequest) -> list[Any]:
        """Put the greatest impact first."""
        return [F("impact").desc(), "-last_seen", "key"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for what is left of the term without its formatting, as keys are."""
        return super().get_search_results(request, queryset, reduction.reduce(search_term).key or search_term)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the queue."""
        return super().changelist_view(request, {"days": TRAFFIC_DAYS})

    @admin.action(description="Decide the selected values …", permissions=["curate"])
    def decide(self, request: HttpRequest, selected: QuerySet[UnknownEntry]) -> HttpResponse | None:
        """Go on to the page that offers the decisions; nothing changes yet."""
        numbers = list(selected.order_by().values_list("pk", flat=True)[: MOST + 1])
        if len(numbers) > MOST:
            messages.error(
                request, f"At most {MOST} values at once. For more, export the queue, fill it in, import it."
            )
            return None
        query = urlencode({"entries": ",".join(map(str, numbers))})
        return HttpResponseRedirect(f"{reverse('admin:stageapp_unknownentry_decide')}?{query}")

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with the queue as a file."""
        state = request.GET.get("state", "open")
        wanted = state if state in STATES else None
        return download(request, self, "unknown-values", lambda file: files.export_queue(file, wanted))

    def page_context(self, request: HttpRequest, row: UnknownEntry) -> dict[str, Any]:
        """Return where an entry comes from, what it may have meant, and the forms to decide it."""
        suggested = suggestions(row, vocabulary.current())
        return {
            "title": "Unknown value",
            "entry": row,
            "value": first_example(row, 200),
            "examples": [(visible_example(example, 512), example) for example in row.examples],
            "meaning": REASONS[row.reason],
            "kinds": KINDS,
            "days": TRAFFIC_DAYS,
            "places": [(place, KINDS[place.kind]) for place in places(row)],
            "aliases": StageAlias.objects.filter(key=row.key).select_related("stage") if row.takes_alias else [],
            "suggested": [described(stage) for stage in Stage.objects.filter(slug__in=suggested)],
            "choices": choices([row]) if curates(request) else [],
            "numbers": str(row.pk),
        }

    @admin.display(description="value")
    def value(self, entry: UnknownEntry) -> SafeString:
        """Return the value as it was first written, and its state where it is not open."""
        shown = format_html('<code class="sn-raw">{}</code>', first_example(entry))
        return (
            shown if entry.state == "open" else format_html('{} <span class="sn-state">{}</span>', shown, entry.state)
        )

    @admin.display(description="because it is", ordering="reason")
    def because(self, entry: UnknownEntry) -> str:
        """Return why it is unknown."""
        return entry.reason.replace("_", " ")

    @admin.display(description="suggestion")
    def suggestion(self, entry: Any) -> str:
        """Return what it may have meant."""
        return ", ".join(entry.suggested) or "–"

    @admin.display(description="rows", ordering="rows")
    def rows(self, entry: UnknownEntry) -> str:
        """Return the rows of targets that hold it, and those of imports that held it."""
        imported = f"{entry.imported:,} imported" if entry.imported else ""
        return ", ".join(filter(None, [f"{entry.rows:,}" if entry.rows else "", imported])) or "0"

    @admin.display(description=f"requests, {TRAFFIC_DAYS} days", ordering="requests")
    def requests(self, entry: UnknownEntry) -> str:
        """Return the requests that held it."""
        return f"{entry.requests:,}"

    @admin.display(description="seen in")
    def seen_in(self, entry: Any) -> SafeString:
        """Return the sources with the greatest counts."""
        first = [(place, f"{count:,}") for place, count in entry.where[:SHOWN_PLACES]]
        shown = format_html_join("", '<span class="sn-pair">{} <i>{}</i></span>', first)
        more = len(entry.where) - SHOWN_PLACES
        return format_html("{} and {} more", shown, more) if more > 0 else shown

    @admin.display(description="first and last seen", ordering="last_seen")
    def seen(self, entry: UnknownEntry) -> str:
        """Return the day and the minute, in UTC."""
        return f"{entry.first_seen:%Y-%m-%d} to {entry.last_seen:%Y-%m-%d %H:%M}"


def described(stage: Stage) -> dict[str, Any]:
    """Return a stage with some of the spellings that mean it."""
    spellings = stage.aliases.filter(source="").values_list("spelling", flat=True)[:SHOWN_SPELLINGS]
    return {"stage": stage, "spellings": list(spellings)}
