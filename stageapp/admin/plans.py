"""Plans: what a run would change, before anything changes."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse

from stageapp import conf
from stageapp.admin.run_actions import awaits_approval, run_buttons
from stageapp.admin.screens import BoundedAdmin, PageAdmin, actor, page, require
from stageapp.admin.site import site
from stageapp.infrastructure import words
from stageapp.models.normalization import Plan, PlanEntry, State
from stageapp.models.vocabulary import REASONS
from stageapp.normalization import preflight
from stageapp.normalization.plan import make_plan
from stageapp.targets.errors import NormalizationError
from stageapp.unknowns import records

SHOWN = 100  # entries of each kind on the plan's own page; all of them are one link away


class TargetForm(forms.Form):
    """Chooses the column to plan for."""

    target = forms.ChoiceField(help_text="Configured with STAGE_TARGETS.")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["target"] = forms.ChoiceField(
            choices=[(label, label) for label in conf.targets()]
        )


@admin.register(Plan, site=site)
class PlanAdmin(PageAdmin):
    """Frozen lists of raw value → stage."""

    page_template = "plan.html"
    change_list_template = "admin/stageapp/plan_list.html"
    list_display = [
        "id",
        "target",
        "short_hash",
        "rows_to_change",
        "rows_unknown",
        "rows_total",
        "actor",
        "created_at",
    ]
    list_filter = ["target"]
    search_fields = ["hash__startswith", "actor"]

    @admin.display(description="hash")
    def short_hash(self, plan: Plan) -> str:
        """Return enough of the hash to tell plans apart."""
        return words.short_hash(plan.hash)

    def get_urls(self) -> list[URLPattern]:
        make = self.admin_site.admin_view(self.make_view)
        return [path("make/", make, name="stageapp_plan_make"), *super().get_urls()]

    def page_context(self, request: HttpRequest, row: Plan) -> dict[str, Any]:
        """Return the plan's entries, its run and the run's buttons."""
        changes = row.entries.exclude(stage="")
        may_start = row.run.state in (State.PLANNED, State.APPROVED)
        return {
            "title": f"Plan {words.short_hash(row.hash)}",
            "plan": row,
            "run": row.run,
            "changes": changes[:SHOWN],
            "changes_total": changes.count(),
            "unknowns": row.entries.filter(stage="")[:SHOWN],
            "unknowns_total": row.entries.filter(stage="").count(),
            "meanings": REASONS,
            "actions": run_buttons(request, row.run),
            "awaits_approval": awaits_approval(row.run),
            "preflight": preflight.look(row.target) if may_start else None,
        }

    def make_view(self, request: HttpRequest) -> HttpResponse:
        """Confirm, then create a plan."""
        require(request, "plan_run")
        form = TargetForm(request.POST or None)
        if request.method != "POST" or not form.is_valid():
            return page(request, "plan_make.html", form=form, title="Make a plan", opts=self.opts)
        try:
            plan = make_plan(form.cleaned_data["target"], actor=actor(request))
            records.record_table(plan)
        except NormalizationError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("admin:stageapp_plan_changelist"))
        return HttpResponseRedirect(reverse("admin:stageapp_plan_change", args=[plan.pk]))


@admin.register(PlanEntry, site=site)
class PlanEntryAdmin(BoundedAdmin):
    """Every distinct value of every plan."""

    list_display = ["shown", "stage", "reason", "rows", "plan"]
    list_display_links = None
    list_filter = ["reason", "stage"]
    search_fields = ["raw"]
    list_select_related = ["plan"]

    @admin.display(description="raw value", ordering="raw")
    def shown(self, entry: PlanEntry) -> str:
        """Return the value with spaces and line ends visible."""
        return repr(entry.raw)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow the link from a plan's page."""
        return lookup == "plan__id__exact" or super().lookup_allowed(lookup, value, request)
