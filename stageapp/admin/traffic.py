"""Traffic windows, as they were counted."""

from django.contrib import admin

from stageapp.admin.screens import BoundedAdmin
from stageapp.admin.site import site
from stageapp.models.traffic import TrafficWindow


@admin.register(TrafficWindow, site=site)
class TrafficWindowAdmin(BoundedAdmin):
    """What arrived, in 10-second windows for each process."""

    list_display = ["started_at", "endpoint", "mode", "verdict", "requests", "rejects", "errors", "slow", "process"]
    list_display_links = None
    list_filter = ["verdict", "mode", "started_at"]
    ordering = ["-started_at"]
    sortable_by = ["started_at"]
