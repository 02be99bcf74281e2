"""Stages and aliases: for curators, with a reason for every change; each change is a vocabulary version."""

from typing import Any

from django.contrib import admin, messages
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from stageapp import alias_files, vocabulary
from stageapp.admin.alias_import import apply_view, import_view
from stageapp.admin.curation import curates
from stageapp.admin.screens import StockAdmin, actor
from stageapp.admin.site import site
from stageapp.admin.spreadsheets import download
from stageapp.admin.vocabulary_forms import AliasForm, CuratedForm
from stageapp.finance import assumption_store
from stageapp.models.vocabulary import Stage, StageAlias


class CuratedAdmin(StockAdmin):
    """A part of the vocabulary: changed by holders of `curate_vocabulary`, always with a reason."""

    delete_confirmation_template = "admin/stageapp/curated_delete.html"
    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow curators and viewers."""
        return curates(request) or super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Allow curators."""
        return curates(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow curators."""
        return curates(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Allow curators."""
        return curates(request)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Edit; when somebody else's edit came first, say so."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            messages.error(request, "Somebody else changed the same entry just now. Look again, and decide again.")
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save as a new vocabulary version."""
        with vocabulary.change(actor=actor(request), reason=form.cleaned_data["why"]):
            obj.save()

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete, with a reason."""
        unexplained = request.method == "POST" and not request.POST.get("why", "").strip()
        if unexplained and self.has_delete_permission(request):
            messages.error(request, "Say why: the reason is kept with the new vocabulary version.")
            return HttpResponseRedirect(request.path)
        return super().delete_view(request, object_id, extra_context)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete as a new vocabulary version."""
        with vocabulary.change(actor=actor(request), reason=request.POST["why"]):
            obj.delete()


@admin.register(Stage, site=site)
class StageAdmin(CuratedAdmin):
    """The canonical values."""

    form = CuratedForm
    list_display = ["label", "slug", "rank", "active"]
    list_filter = ["active"]
    fields = ["label", "slug", "rank", "active", "why"]

    def save_model(self, request: HttpRequest, obj: Stage, form: Any, change: bool) -> None:
        """Save as a new vocabulary version; assumptions follow a slug, or are asked for."""
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and "slug" in form.changed_data:
                old, why = form.initial["slug"], form.cleaned_data["why"]
                assumption_store.carry_over(old, obj.slug, actor=actor(request), reason=why)
        if assumption_store.newest(obj.slug) is None:
            enter = f"{reverse('admin:stageapp_assumptionchange_preview')}?stage={obj.slug}"
            link = format_html('<a href="{}">enter its assumptions</a>', enter)
            text = "Simulations and allocations refuse {} until you {}."
            messages.warning(request, format_html(text, obj.label, link))


@admin.register(StageAlias, site=site)
class StageAliasAdmin(CuratedAdmin):
    """What a raw spelling means."""

    form = AliasForm
    change_list_template = "admin/stageapp/alias_list.html"
    list_display = ["spelling", "stage", "reason", "source", "key", "comment"]
    list_filter = ["stage", "reason"]
    search_fields = ["spelling", "key", "comment"]
    list_select_related = ["stage"]
    readonly_fields = ["key"]
    fields = ["spelling", "stage", "reason", "source", "comment", "key", "why"]
    list_per_page = 50

    def get_urls(self) -> list[URLPattern]:
        """Add the export, and the import with its difference."""
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_view), name="stageapp_stagealias_export"),
            path("import/", wrap(import_view), name="stageapp_stagealias_import"),
            path("import/apply/", wrap(apply_view), name="stageapp_stagealias_apply"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Answer with all aliases as a file."""
        return download(request, self, "aliases", alias_files.export_aliases)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the stages without the shortcuts that edit them: an edit needs its own reason."""
        if db_field.name == "stage":
            return self.formfield_for_foreignkey(db_field, request, **kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)
