"""What each consumer sends, by day and endpoint, as it was counted."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from stageapp.admin.screens import BoundedAdmin
from stageapp.admin.site import site
from stageapp.models.consumers import ConsumerSighting
from stageapp.text import reduction


@admin.register(ConsumerSighting, site=site)
class ConsumerSightingAdmin(BoundedAdmin):
    """Counts; the values behind them are in the queue of unknown values."""

    list_display = ["day", "consumer", "endpoint", "shown", "outcome", "count"]
    list_filter = ["outcome", "day"]
    ordering = ["-pk"]
    sortable_by = ()
    search_fields = ["consumer", "key"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Look for a whole name or key: an index finds these, however many rows there are."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(consumer=term) | Q(key__in={term, reduction.reduce(term).key})), False

    @admin.display(description="key")
    def shown(self, sighting: ConsumerSighting) -> str:
        """Return the value without its formatting; in quotes, since it may be empty."""
        return repr(sighting.key)
