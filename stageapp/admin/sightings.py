"""What each consumer sends, by day and endpoint, as it was counted."""

from django.contrib import admin

from stageapp.admin.screens import BoundedAdmin
from stageapp.admin.site import site
from stageapp.models.consumers import ConsumerSighting


@admin.register(ConsumerSighting, site=site)
class ConsumerSightingAdmin(BoundedAdmin):
    """Counts; the values behind them are in the queue of unknown values."""

    list_display = ["day", "consumer", "endpoint", "shown", "outcome", "count"]
    list_display_links = None
    list_filter = ["outcome", "day"]
    ordering = ["-pk"]
    sortable_by = ()
    search_fields = ["consumer__exact", "key__exact"]
    search_help_text = "A consumer's whole name, or a whole key."

    @admin.display(description="key")
    def shown(self, sighting: ConsumerSighting) -> str:
        """Return the value without its formatting; in quotes, since it may be empty."""
        return repr(sighting.key)
