"""Import aliases from CSV: upload, see the difference, confirm it with a reason.

The page with the difference carries it along, signed for the one who made it. What is confirmed is therefore what
was shown, whatever became of the file; a vocabulary that changed in between is a conflict.
"""

from dataclasses import astuple
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.views.decorators.http import require_POST

from stageapp import alias_files, vocabulary
from stageapp.admin.confirm import ReasonForm
from stageapp.admin.curation import carried_out
from stageapp.admin.raw_text import visible
from stageapp.admin.screens import page, require
from stageapp.alias_files import AliasDiff, Change, FileRefused
from stageapp.models.vocabulary import StageAlias

LIST = "admin:stageapp_stagealias_changelist"
SHOWN = 300  # changes and refused lines of one page
VALID_SECONDS = 86_400
_BESIDES = 32_768  # bytes of the confirming request that are not the difference


class UploadForm(forms.Form):
    """Takes a file; what it would do is shown, and nothing changes."""

    file = forms.FileField(label="CSV file", allow_empty_file=True)
    encoding = forms.ChoiceField(choices=[(name, name) for name in ("utf-8", "utf-16", "cp1252", "latin-1")])
    remove_missing = forms.BooleanField(
        required=False,
        label="Remove aliases that the file does not name",
        help_text="For a file that is the whole list.",
    )

    def __init__(self, request: HttpRequest) -> None:
        """Say how large a file may be; a larger one is dropped unread and seems not to be there."""
        sent = request.method == "POST"
        super().__init__(request.POST if sent else None, request.FILES if sent else None)
        limit = settings.FILE_UPLOAD_MAX_MEMORY_SIZE
        self.fields["file"].help_text = f"At most {filesizeformat(limit)}."
        if int(request.META.get("CONTENT_LENGTH") or 0) > limit:
            self.fields["file"].error_messages["required"] = (
                f"The file is larger than {filesizeformat(limit)}. Split it, or import it from the terminal: "
                "python manage.py vocabulary import FILE"
            )


def import_view(request: HttpRequest) -> HttpResponse:
    """Take a file and show what importing it would change."""
    require(request, "curate_vocabulary")
    form = UploadForm(request)
    if request.method != "POST" or not form.is_valid():
        return _ask(request, form)
    values, version = form.cleaned_data, vocabulary.newest_version()
    try:
        diff = alias_files.compare(
            values["file"].file, encoding=values["encoding"], remove_missing=values["remove_missing"]
        )
        return _show(request, diff, "" if diff.refused else _sealed(request, diff, version), ReasonForm())
    except FileRefused as refusal:
        form.add_error("file", str(refusal))
        return _ask(request, form)


@require_POST
def apply_view(request: HttpRequest) -> HttpResponse:
    """Make the difference that was shown one vocabulary version."""
    require(request, "curate_vocabulary")
    seal = request.POST.get("seal", "")
    try:
        diff, version = _opened(request, seal)
    except signing.BadSignature:
        messages.error(request, "This difference is not yours, or older than a day. Upload the file again.")
        return HttpResponseRedirect(reverse("admin:stageapp_stagealias_import"))
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _show(request, diff, seal, form)
    reason = form.cleaned_data["reason"]
    done = carried_out(request, alias_files.apply, FileRefused, seen=version, reason=reason, diff=diff)
    return HttpResponseRedirect(reverse(LIST if done else "admin:stageapp_stagealias_import"))


def _sealed(request: HttpRequest, diff: AliasDiff, version: int) -> str:
    content = [version, diff.unchanged, diff.undecided, [astuple(change) for change in diff.changes]]
    seal = signing.dumps(content, salt=_salt(request), compress=True)
    if len(seal) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE - _BESIDES:
        raise FileRefused(
            f"{len(diff.changes):,} changes are too many for one page. Split the file, or import it from the "
            "terminal: python manage.py vocabulary import FILE"
        )
    return seal


def _opened(request: HttpRequest, seal: str) -> tuple[AliasDiff, int]:
    version, unchanged, undecided, rows = signing.loads(seal, salt=_salt(request), max_age=VALID_SECONDS)
    diff = AliasDiff(unchanged=unchanged, undecided=undecided)
    for row in rows:
        change = Change(*row)
        _list_of(diff, change).append(change)
    return diff, version


def _list_of(diff: AliasDiff, change: Change) -> list[Change]:
    if change.new is None:
        return diff.removed
    return diff.added if change.old is None else diff.changed


def _salt(request: HttpRequest) -> str:
    return f"stageapp.alias_import:{request.user.pk}"


def _ask(request: HttpRequest, form: UploadForm) -> HttpResponse:
    return page(request, "alias_import.html", title="Import aliases", opts=StageAlias._meta, form=form)


def _show(request: HttpRequest, diff: AliasDiff, seal: str, form: ReasonForm) -> HttpResponse:
    kinds = [("added", "+", diff.added), ("changed", "~", diff.changed), ("removed", "−", diff.removed)]
    lines: list[dict[str, Any]] = [
        {"kind": kind, "sign": sign, "change": change, "spelling": visible(change.spelling)}
        for kind, sign, changes in kinds
        for change in changes
    ]
    context = {
        "title": "Import aliases", "opts": StageAlias._meta, "diff": diff, "seal": seal, "form": form,
        "lines": lines[:SHOWN], "lines_total": len(lines), "refused": diff.refused[:SHOWN],
    }  # fmt: skip
    return page(request, "alias_diff.html", **context)
