"""Vocabulary versions: who changed what and why, past states, and restoring them."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from stageapp.admin.actions import ReasonForm
from stageapp.admin.screens import PageAdmin, actor, page, require
from stageapp.admin.site import site
from stageapp.models.vocabulary import VocabularyVersion
from stageapp.vocabulary import snapshot, versions

# Confirmed changes of the vocabulary: with a reason, on the version that was previewed, told with
# the new one.


def curates(request: HttpRequest) -> bool:
    """Whether this user may change the vocabulary."""
    return request.user.has_perm("stageapp.curate_vocabulary")


class CurationForm(ReasonForm):
    """Asks for a reason and returns the version the user saw."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        """Start with the newest version."""
        super().__init__(data, initial={"expected_version": snapshot.newest_version()})

    @property
    def answers(self) -> dict[str, Any]:
        """The arguments for `carried_out`."""
        return {
            "seen": self.cleaned_data["expected_version"],
            "reason": self.cleaned_data["reason"],
        }

    @classmethod
    def again(cls, asked: "CurationForm") -> "CurationForm":
        """Return the form for another confirmation: same reason, newest version."""
        return cls(
            {"reason": asked.data.get("reason", ""), "expected_version": snapshot.newest_version()}
        )


def carried_out(
    request: HttpRequest,
    perform: Callable[..., Any],
    refusal: type[Exception],
    *,
    seen: int,
    reason: str,
    **values: Any,
) -> bool:
    """Perform a previewed and confirmed change, report the outcome, return whether it was done.

    `perform` takes the values, the actor and the reason, and returns the new vocabulary version,
    if any; `refusal` is its named error, whose text is shown to the user. `seen` is the version of
    the preview.
    """
    try:
        with snapshot.unchanged_since(seen):
            made = perform(**values, actor=actor(request), reason=reason)
    except (snapshot.ChangedMeanwhile, refusal) as why_not:
        messages.error(request, str(why_not))
        return False
    _tell(request, made if isinstance(made, VocabularyVersion) else None)
    return True


def _tell(request: HttpRequest, version: VocabularyVersion | None) -> None:
    if version is None:
        messages.success(request, "Done. The vocabulary is unchanged.")
        return
    shown = reverse("admin:stageapp_vocabularyversion_change", args=[version.pk])
    told = format_html(
        'Done: <a href="{}">vocabulary version {}</a>. Stored rows are unchanged.',
        shown,
        version.pk,
    )
    if request.user.has_perm("stageapp.plan_run"):
        make = reverse("admin:stageapp_plan_make")
        told = format_html(
            '{} <a href="{}">Make a plan</a> to see what a run would change now.', told, make
        )
    messages.success(request, told)


SHOWN = 500  # entries of one page
SIGNS = {"added": "+", "removed": "−", "changed": "~"}


@admin.register(VocabularyVersion, site=site)
class VocabularyVersionAdmin(PageAdmin):
    """Every state of the vocabulary."""

    page_template = "vocabulary_version.html"
    list_display = ["number", "created_at", "actor", "reason", "changes"]
    search_fields = ["actor", "reason"]

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "stageapp_vocabularyversion_{}".format
        return [
            path("<int:number>/vocabulary/", wrap(self.vocabulary_view), name=name("vocabulary")),
            path("<int:number>/compare/", wrap(self.compare_view), name=name("compare")),
            path("<int:number>/restore/", wrap(self.restore_view), name=name("restore")),
            *super().get_urls(),
        ]

    @method_decorator(require_GET)
    def vocabulary_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show a version's stages and aliases; `q` searches spellings, keys and sources."""
        version = self.row_or_404(request, str(number))
        term = request.GET.get("q", "").strip()
        searched = ("spelling", "key", "source", "stage__slug", "reason")
        aliases = [
            alias
            for alias in version.snapshot.get("aliases", [])
            if any(term.lower() in str(alias[name]).lower() for name in searched)
        ]
        context = {
            "title": f"Vocabulary of version {number}",
            "opts": self.opts,
            "version": version,
            "term": term,
            "stages": version.snapshot.get("stages", []),
            "aliases": aliases[:SHOWN],
            "aliases_total": len(aliases),
        }
        return page(request, "vocabulary_then.html", **context)

    @method_decorator(require_GET)
    def compare_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show what restoring a version would change and ask for a reason."""
        return self._compared(request, self.row_or_404(request, str(number)), CurationForm())

    @method_decorator(require_POST)
    def restore_view(self, request: HttpRequest, number: int) -> HttpResponse:
        """Restore a version as a new one."""
        require(request, "curate_vocabulary")
        version = self.row_or_404(request, str(number))
        form = CurationForm(request.POST)
        refusal = versions.NoSuchVersion
        if form.is_valid() and carried_out(
            request, versions.restore, refusal, number=number, **form.answers
        ):
            return HttpResponseRedirect(reverse("admin:stageapp_vocabularyversion_changelist"))
        return self._compared(request, version, CurationForm.again(form))

    def _compared(
        self, request: HttpRequest, version: VocabularyVersion, form: CurationForm
    ) -> HttpResponse:
        differences = lines(versions.difference_from_now(version.number))
        context = {
            "title": f"Version {version.number} compared with the current one",
            "opts": self.opts,
            "version": version,
            "form": form,
            "lines": differences[:SHOWN],
            "lines_total": len(differences),
            "curates": curates(request),
        }
        return page(request, "vocabulary_compare.html", **context)

    def get_queryset(self, request: HttpRequest) -> QuerySet[VocabularyVersion]:
        """Defer the snapshots: each holds the whole vocabulary."""
        return super().get_queryset(request).defer("snapshot")

    @admin.display(description="changes")
    def changes(self, version: VocabularyVersion) -> str:
        """Return how many entries were added, removed and changed."""
        counts = dict.fromkeys(SIGNS.values(), 0)
        for line in lines(version.diff):
            counts[line["sign"]] += 1
        return " ".join(f"{sign}{count}" for sign, count in counts.items() if count)

    def page_context(self, request: HttpRequest, row: VocabularyVersion) -> dict[str, Any]:
        """Return the version and its diff, line by line."""
        differences = lines(row.diff)
        return {
            "title": f"Vocabulary version {row.number}",
            "version": row,
            "lines": differences[:SHOWN],
            "lines_total": len(differences),
            "newest": row.number == snapshot.newest_version(),
        }


def lines(diff: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a stored diff as lines: sign, part, name, old and new value."""
    rows = [
        (part, kind, row) for part in diff for kind in SIGNS for row in diff[part].get(kind, [])
    ]
    told = []
    for part, kind, row in rows:
        old = row["old"] if kind == "changed" else row if kind == "removed" else {}
        new = row["new"] if kind == "changed" else row if kind == "added" else {}
        shown = new or old
        # Field → its name without a lookup: `stage__slug` is `stage`.
        names = {
            name: name.split("__")[0]
            for name in sorted(shown)
            if old.get(name) != new.get(name) or kind != "changed"
        }
        before, after = (
            [(called, of[name]) for name, called in names.items() if of.get(name) not in ("", None)]
            for of in (old, new)
        )
        told.append(
            {
                "sign": SIGNS[kind],
                "kind": kind,
                "part": part,
                "name": shown.get("spelling") or shown.get("label") or shown.get("slug"),
                "old": before,
                "new": after,
            }
        )
    return told
