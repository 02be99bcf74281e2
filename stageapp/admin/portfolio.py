"""The built-in data: companies, funds and saved strategies."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from stageapp.admin.screens import BoundedAdmin, BoundedPaginator, StockAdmin, actor
from stageapp.admin.site import site
from stageapp.audit import proof
from stageapp.models.portfolio import Fund, PortfolioCompany, Strategy
from stageapp.models.proofs import TargetWrite
from stageapp.sealing import guard
from stageapp.targets.targets import BUILT_IN
from stageapp.vocabulary import snapshot

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[PortfolioCompany]
else:
    ModelForm = forms.ModelForm


@admin.register(Fund, site=site)
class FundAdmin(StockAdmin):
    list_display = ["name"]
    search_fields = ["name"]


class CompanyForm(ModelForm):
    """Shows next to the field which values a sealed column refuses."""

    def clean_stage(self) -> str:
        """Return the stage as written, if the column accepts it."""
        stage = str(self.cleaned_data["stage"])
        if refusal := guard.why_refused(BUILT_IN, stage):
            raise forms.ValidationError(refusal)
        return stage


@admin.register(PortfolioCompany, site=site)
class PortfolioCompanyAdmin(StockAdmin):
    """Companies, with what their stage means today."""

    form = CompanyForm
    list_display = ["name", "fund", "stage", "means", "sector", "updated_at"]
    list_filter = ["fund"]
    search_fields = ["name", "stage__exact"]
    search_help_text = "Part of the name, or the exact stored stage."
    autocomplete_fields = ["fund"]
    list_select_related = ["fund"]
    show_full_result_count = False
    sortable_by = ()
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    change_list_template = "admin/stageapp/bounded_list.html"

    def save_model(
        self, request: HttpRequest, obj: PortfolioCompany, form: Any, change: bool
    ) -> None:
        """Save the company and record a write to its stage, which withdraws the column's proof."""
        super().save_model(request, obj, form, change)
        if not change or "stage" in form.changed_data:
            _record(request, 1, "edited in the admin" if change else "added in the admin")

    def delete_model(self, request: HttpRequest, obj: PortfolioCompany) -> None:
        """Delete the company and record the write."""
        super().delete_model(request, obj)
        _record(request, 1, "deleted in the admin")

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PortfolioCompany]) -> None:
        """Delete the companies and record the write."""
        rows = queryset.count()
        super().delete_queryset(request, queryset)
        _record(request, rows, "deleted in the admin")

    @admin.display(description="means")
    def means(self, company: PortfolioCompany) -> str:
        """Return the canonical stage, or why there is none."""
        meaning = snapshot.normalize(company.stage)
        return meaning.stage or f"unknown: {meaning.reason}"


def _record(request: HttpRequest, rows: int, reason: str) -> None:
    proof.record_write(BUILT_IN, TargetWrite.EDIT, rows, actor=actor(request), reason=reason)


@admin.register(Strategy, site=site)
class StrategyAdmin(BoundedAdmin):
    """Saved allocations, as sent and as understood."""

    list_display = ["name", "consumer", "unallocated", "vocabulary_version", "created_at"]
    search_fields = ["name"]
    list_select_related = ["consumer"]
