"""GET /api/runs/{id}/entries and /api/rows/{target}/{key}/history: the audit log by entry."""

from urllib.parse import quote

from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp import conf
from stageapp.api.fields import StrictSerializer
from stageapp.api.runs import Watching
from stageapp.audit import history
from stageapp.audit.history import EntryHistory, Place
from stageapp.documents.runs import EntryPage
from stageapp.models.normalization import Run

PAGE = 100


class EntryQuery(StrictSerializer):
    """The query string of entries."""

    after = serializers.RegexField(
        r"^[0-9]{1,18}-[0-9]{1,9}\Z", required=False, help_text="the id of the last entry you have"
    )


class Entries(Watching):
    """Entries of the audit log in pages, oldest first."""

    permission = "stageapp.view_auditentry"
    queries = {"GET": EntryQuery}

    @property
    def after(self) -> Place:
        """The place after which entries are requested."""
        block, _, entry = self.query.get("after", "0-0").partition("-")
        return Place(int(block), int(entry))

    def page(self, path: str, entries: list[EntryHistory]) -> Response:
        """Return a page; one entry beyond the page size means there is another page."""
        following = f"{path}?after={entries[PAGE - 1].entry.pk}" if len(entries) > PAGE else None
        return Response(EntryPage({"next": following, "results": entries[:PAGE]}).data)


class RunEntries(Entries):
    """List the entries of a run."""

    def get(self, request: Request, pk: int) -> Response:
        """Return up to 100 changed rows with old and new value; `next` is the path to the rest."""
        run = get_object_or_404(Run, pk=pk)
        return self.page(
            f"/api/runs/{pk}/entries", history.of_run(run, after=self.after, limit=PAGE + 1)
        )


class RowHistory(Entries):
    """Look up the history of a row."""

    def get(self, request: Request, target: str, key: str) -> Response:
        """Return all changes of the row with this primary key, by every run, oldest first."""
        if target not in conf.targets() and not Run.objects.filter(target=target).exists():
            raise Http404
        entries = history.of_row(key, target=target, after=self.after, limit=PAGE + 1)
        return self.page(
            f"/api/rows/{quote(target, safe='')}/{quote(key, safe='')}/history", entries
        )
