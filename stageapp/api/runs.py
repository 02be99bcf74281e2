"""GET /api/runs and /api/runs/{id}: the runs, their progress, their workers, their entries.

GET /api/rows/{target}/{key}/history: the same entries by row.
"""

from typing import ClassVar
from urllib.parse import quote

from django.http import Http404
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp import conf
from stageapp.api.endpoint import Endpoint
from stageapp.api.fields import StrictSerializer
from stageapp.audit import history
from stageapp.audit.history import EntryHistory, Place
from stageapp.documents.runs import EntryPage, RunInFull, RunPage
from stageapp.models.normalization import Run

PAGE = 100


class RunQuery(StrictSerializer):
    """The query string of the list of runs."""

    before = serializers.RegexField(
        r"^[0-9]{1,18}\Z", required=False, help_text="the id of the last run you have"
    )


class Watching(Endpoint):
    """For operators: a token needs the scope `ops`, a session also the admin's view permission."""

    scopes: ClassVar[dict[str, str]] = {"GET": "ops"}
    permissions = {"GET": "stageapp.view_run"}


class Runs(Watching):
    """List the runs."""

    queries = {"GET": RunQuery}

    def get(self, request: Request) -> Response:
        """Return up to 100 runs, newest first; `next` is the path to earlier ones."""
        runs = Run.objects.select_related("plan").order_by("-id")
        if "before" in self.query:
            runs = runs.filter(pk__lt=int(self.query["before"]))
        page = list(runs[: PAGE + 1])
        following = f"/api/runs?before={page[PAGE - 1].pk}" if len(page) > PAGE else None
        return Response(RunPage({"next": following, "results": page[:PAGE]}).data)


class OneRun(Watching):
    """Show a run."""

    def get(self, request: Request, pk: int) -> Response:
        """Return its progress in total and by shard, its workers, and what throttles it."""
        run = get_object_or_404(Run.objects.select_related("plan"), pk=pk)
        return Response(RunInFull(run).data)


# The audit log by entry: of one run, and of one row.


class EntryQuery(StrictSerializer):
    """The query string of entries."""

    after = serializers.RegexField(
        r"^[0-9]{1,18}-[0-9]{1,9}\Z", required=False, help_text="the id of the last entry you have"
    )


class Entries(Watching):
    """Entries of the audit log in pages, oldest first."""

    permissions = {"GET": "stageapp.view_auditentry"}
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
        if "\0" in target:  # PostgreSQL's text holds none, so no row has it
            raise Http404
        if target not in conf.targets() and not Run.objects.filter(target=target).exists():
            raise Http404
        entries = history.of_row(key, target=target, after=self.after, limit=PAGE + 1)
        return self.page(
            f"/api/rows/{quote(target, safe='')}/{quote(key, safe='')}/history", entries
        )
