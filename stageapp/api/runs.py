"""GET /api/runs and /api/runs/{id}: the runs, their progress and their workers."""

from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.authentication import is_consumer
from stageapp.api.endpoint import Endpoint
from stageapp.api.fields import StrictSerializer
from stageapp.documents.runs import RunInFull, RunPage
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
    permission: ClassVar[str] = "stageapp.view_run"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check what every endpoint checks, and a session's permission."""
        super().initial(request, *args, **kwargs)
        if not (is_consumer(request) or request.user.has_perm(self.permission)):
            raise PermissionDenied(f"This requires the permission {self.permission}.")


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
