"""Stages and aliases: curators change them with a reason, and each change makes a version."""

from dataclasses import astuple
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core import signing
from django.db import IntegrityError, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from stageapp.admin.actions import LONGEST_REASON, ReasonForm
from stageapp.admin.screens import StockAdmin, actor, download, page, require
from stageapp.admin.site import site
from stageapp.admin.vocabulary_versions import carried_out, curates
from stageapp.finance import assumption_store
from stageapp.models.recorded import require_reason
from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.unknowns import alias_files
from stageapp.unknowns.alias_files import AliasDiff, Change, FileRefused
from stageapp.unknowns.examples import visible
from stageapp.vocabulary import snapshot, text
from stageapp.vocabulary.text import alias_refusal

# Forms of the vocabulary: every edit says why, and an alias's key comes from its spelling.

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class CuratedForm(ModelForm):
    """Asks for a reason with every edit."""

    why = forms.CharField(
        max_length=LONGEST_REASON,
        label="Reason for this change",
        help_text="Kept with the new vocabulary version, under your name.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class AliasForm(CuratedForm):
    """Edits an alias; the text rules derive its key from its spelling."""

    class Meta:
        model = StageAlias
        fields = ["spelling", "source", "stage", "reason", "comment"]
        widgets = {
            "spelling": forms.TextInput(attrs={"class": "vTextField"}),
            "comment": forms.Textarea(attrs={"rows": 2}),
        }
        help_texts = {
            "stage": "The one stage it means; or leave it empty and choose below why it is not a "
            "stage.",
            "source": "Empty: applies everywhere. Otherwise the one consumer or import it applies "
            "to.",
        }

    def clean_spelling(self) -> str:
        """Refuse a spelling that no lookup could ever match."""
        spelling: str = self.cleaned_data["spelling"]
        if why_not := alias_refusal(spelling, names_stage=bool(self.data.get("stage"))):
            raise forms.ValidationError(f"An alias cannot use this spelling: {why_not}.")
        self.instance.key = text.reduce(spelling).key
        return spelling

    def clean(self) -> dict[str, Any]:
        """Require either a stage or a reason, and a key that no other alias claims."""
        values = super().clean() or self.cleaned_data
        if bool(values.get("stage")) == bool(values.get("reason")):
            self.add_error("stage", "Choose either a stage or a reason why it is not a stage.")
        if (other := self.claimant(values)) is not None:
            self.add_error(
                "spelling",
                f"“{other.spelling}” differs only in formatting and already exists: {other}.",
            )
        return values

    def claimant(self, values: dict[str, Any]) -> StageAlias | None:
        """Return the other alias that has the key already; the database decides a race for it."""
        if not self.instance.key:
            return None
        same = StageAlias.objects.filter(source=values.get("source", ""), key=self.instance.key)
        return same.exclude(pk=self.instance.pk).select_related("stage").first()


# Import aliases from CSV: upload, see the difference, confirm it with a reason.
#
# The page with the difference carries it along, signed for the one who made it. What is confirmed
# is therefore what was shown, whatever became of the file; a vocabulary that changed in between is
# a conflict.

LIST = "admin:stageapp_stagealias_changelist"
SHOWN = 300  # changes and refused lines of one page
VALID_SECONDS = 86_400
_BESIDES = 32_768  # bytes of the confirming request that are not the difference


class UploadForm(forms.Form):
    """Takes a file and shows what it would do; changes nothing."""

    file = forms.FileField(label="CSV file", allow_empty_file=True)
    encoding = forms.ChoiceField(
        choices=[(name, name) for name in ("utf-8", "utf-16", "cp1252", "latin-1")]
    )
    remove_missing = forms.BooleanField(
        required=False,
        label="Remove aliases missing from the file",
        help_text="For a file that contains the complete list.",
    )

    def __init__(self, request: HttpRequest) -> None:
        """Show the size limit; a larger file is dropped unread and looks missing."""
        sent = request.method == "POST"
        super().__init__(request.POST if sent else None, request.FILES if sent else None)
        limit = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        self.fields["file"].help_text = f"At most {filesizeformat(limit)}."
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
            self.fields["file"].error_messages["required"] = (
                f"The file is larger than {filesizeformat(limit)}. Split it, or import it from "
                "the terminal: python manage.py vocabulary import FILE"
            )


def import_view(request: HttpRequest) -> HttpResponse:
    """Take a file and show what importing it would change."""
    require(request, "curate_vocabulary")
    form = UploadForm(request)
    if request.method != "POST" or not form.is_valid():
        return _ask(request, form)
    values, version = form.cleaned_data, snapshot.newest_version()
    try:
        diff = alias_files.compare(
            values["file"].file,
            encoding=values["encoding"],
            remove_missing=values["remove_missing"],
        )
        return _show(
            request, diff, "" if diff.refused else _sealed(request, diff, version), ReasonForm()
        )
    except FileRefused as refusal:
        form.add_error("file", str(refusal))
        return _ask(request, form)


@require_POST
def apply_view(request: HttpRequest) -> HttpResponse:
    """Apply the previewed diff as one vocabulary version."""
    require(request, "curate_vocabulary")
    seal = request.POST.get("seal", "")
    try:
        diff, version = _opened(request, seal)
    except signing.BadSignature:
        messages.error(
            request, "This diff is not yours or is older than a day. Upload the file again."
        )
        return HttpResponseRedirect(reverse("admin:stageapp_stagealias_import"))
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _show(request, diff, seal, form)
    reason = form.cleaned_data["reason"]
    done = carried_out(
        request, alias_files.apply, FileRefused, seen=version, reason=reason, diff=diff
    )
    return HttpResponseRedirect(reverse(LIST if done else "admin:stageapp_stagealias_import"))


def _sealed(request: HttpRequest, diff: AliasDiff, version: int) -> str:
    content = [
        version,
        diff.unchanged,
        diff.undecided,
        [astuple(change) for change in diff.changes],
    ]
    seal = signing.dumps(content, salt=_salt(request), compress=True)
    if len(seal) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE - _BESIDES:
        raise FileRefused(
            f"{len(diff.changes):,} changes are too many for one page. Split the file, or import "
            "it from the terminal: python manage.py vocabulary import FILE"
        )
    return seal


def _opened(request: HttpRequest, seal: str) -> tuple[AliasDiff, int]:
    version, unchanged, undecided, rows = signing.loads(
        seal, salt=_salt(request), max_age=VALID_SECONDS
    )
    diff = AliasDiff(unchanged=unchanged, undecided=undecided)
    for row in rows:
        change = Change(*row)
        kind = diff.added if change.old is None else diff.changed
        (diff.removed if change.new is None else kind).append(change)
    return diff, version


def _salt(request: HttpRequest) -> str:
    return f"stageapp.alias_import:{request.user.pk}"


def _ask(request: HttpRequest, form: UploadForm) -> HttpResponse:
    return page(
        request, "alias_import.html", title="Import aliases", opts=StageAlias._meta, form=form
    )


def _show(request: HttpRequest, diff: AliasDiff, seal: str, form: ReasonForm) -> HttpResponse:
    kinds = [
        ("added", "+", diff.added),
        ("changed", "~", diff.changed),
        ("removed", "−", diff.removed),
    ]
    lines: list[dict[str, Any]] = [
        {"kind": kind, "sign": sign, "change": change, "spelling": visible(change.spelling)}
        for kind, sign, changes in kinds
        for change in changes
    ]
    context = {
        "title": "Import aliases",
        "opts": StageAlias._meta,
        "diff": diff,
        "seal": seal,
        "form": form,
        "lines": lines[:SHOWN],
        "lines_total": len(lines),
        "refused": diff.refused[:SHOWN],
    }
    return page(request, "alias_diff.html", **context)


class CuratedAdmin(StockAdmin):
    """A part of the vocabulary: editable with `curate_vocabulary`, always with a reason."""

    delete_confirmation_template = "admin/stageapp/curated_delete.html"
    actions = None

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return curates(request) or super().has_view_permission(request, obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return curates(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return curates(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return curates(request)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Edit; report it if someone else's edit came first."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            messages.error(
                request,
                "Somebody else has just changed the same entry. Reload it and decide again.",
            )
            return HttpResponseRedirect(request.path)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save as a new vocabulary version."""
        with snapshot.change(actor=actor(request), reason=form.cleaned_data["why"]):
            obj.save()

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Delete, with a reason."""
        if request.method == "POST" and self.has_delete_permission(request):
            try:
                require_reason(request.POST.get("why", ""), ValueError)
            except ValueError as refusal:
                messages.error(request, str(refusal))
                return HttpResponseRedirect(request.path)
        context = {"longest": LONGEST_REASON, **(extra_context or {})}
        return super().delete_view(request, object_id, context)

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        """Delete as a new vocabulary version."""
        with snapshot.change(actor=actor(request), reason=request.POST["why"]):
            obj.delete()


@admin.register(Stage, site=site)
class StageAdmin(CuratedAdmin):
    """The canonical values."""

    form = CuratedForm
    list_display = ["label", "slug", "rank", "active"]
    list_filter = ["active"]
    fields = ["label", "slug", "rank", "active", "why"]

    def save_model(self, request: HttpRequest, obj: Stage, form: Any, change: bool) -> None:
        """Save as a new vocabulary version; carry assumptions to a new slug, or ask for them."""
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
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_view), name="stageapp_stagealias_export"),
            path("import/", wrap(import_view), name="stageapp_stagealias_import"),
            path("import/apply/", wrap(apply_view), name="stageapp_stagealias_apply"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return all aliases as a file."""
        return download(request, self, "aliases", alias_files.export_aliases)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offer the stages without shortcuts that edit them: an edit needs its own reason."""
        if db_field.name == "stage":
            return self.formfield_for_foreignkey(db_field, request, **kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)
