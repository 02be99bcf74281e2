"""Vocabulary versions: who changed what, and why."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from stageapp.admin.screens import PageAdmin
from stageapp.admin.site import site
from stageapp.models.vocabulary import VocabularyVersion

SIGNS = {"added": "+", "removed": "−", "changed": "~"}


@admin.register(VocabularyVersion, site=site)
class VocabularyVersionAdmin(PageAdmin):
    """Every state of the vocabulary."""

    page_template = "vocabulary_version.html"
    list_display = ["number", "created_at", "actor", "reason", "changes"]
    search_fields = ["actor", "reason"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[VocabularyVersion]:
        """Leave the snapshots where they are: each holds the whole vocabulary."""
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
        return {"title": f"Vocabulary version {row.number}", "version": row, "lines": lines(row.diff)}


def lines(diff: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a stored diff as lines: sign, part, name, and what it was and is."""
    return [_line(part, kind, row) for part in diff for kind in SIGNS for row in diff[part].get(kind, [])]


def _line(part: str, kind: str, row: dict[str, Any]) -> dict[str, Any]:
    old = row["old"] if kind == "changed" else row if kind == "removed" else {}
    new = row["new"] if kind == "changed" else row if kind == "added" else {}
    names = [name for name in new or old if old.get(name) != new.get(name) or kind != "changed"]
    shown = new or old
    return {
        "sign": SIGNS[kind],
        "kind": kind,
        "part": part,
        "name": shown.get("spelling") or shown.get("label") or shown.get("slug"),
        "old": [(_called(name), old[name]) for name in names if old.get(name) not in ("", None)],
        "new": [(_called(name), new[name]) for name in names if new.get(name) not in ("", None)],
    }


def _called(name: str) -> str:
    """Return a field's name without the way to it: `stage__slug` is the stage."""
    return name.split("__")[0]
