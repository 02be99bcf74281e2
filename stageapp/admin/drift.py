"""Drift: the newest look at each normalized column, and what came back into it."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from stageapp.admin.dashboard import drifted
from stageapp.admin.screens import BoundedAdmin, PageAdmin
from stageapp.admin.site import site
from stageapp.models.drift import DriftCheck
from stageapp.models.proofs import TargetWrite


@admin.register(DriftCheck, site=site)
class DriftCheckAdmin(PageAdmin):
    """What was written past the API since a run was done."""

    page_template = "drift.html"
    list_display = ["target", "run", "unknown_rows", "known_rows", "checked_at", "looked_at", "problem"]

    def page_context(self, request: HttpRequest, row: DriftCheck) -> dict[str, Any]:
        """Return the values of one look."""
        return {"title": row.target, "check": row, "values": drifted(row)}


@admin.register(TargetWrite, site=site)
class TargetWriteAdmin(BoundedAdmin):
    """What changed normalized columns beside their runs: each entry withdraws what was proved before it."""

    list_display = ["created_at", "target", "kind", "rows", "actor", "reason"]
    list_filter = ["kind", "target"]
    sortable_by = ()
