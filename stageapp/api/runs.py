"""GET /api/runs and /api/runs/{id}: which runs there are, how far one is, and who works on it."""

from typing import Any, ClassVar

from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.authentication import is_consumer
from stageapp.api.endpoint import Endpoint
from stageapp.api.fields import StrictSerializer
from stageapp.audit import proof
from stageapp.models.batches import Direction
from stageapp.models.normalization import Run
from stageapp.normalization import drain, leases
from stageapp.normalization.progress import Progress, progress
from stageapp.normalization.throttle import limits

PAGE = 100
SHARDS = 100  # a run has at most 32 in a direction; each rollback has its own


class RunQuery(StrictSerializer):
    """The query string of the list of runs."""

    before = serializers.RegexField(
        r"^[0-9]{1,18}\Z", required=False, help_text="the id of the last run you have"
    )


class Watching(Endpoint):
    """What operators watch: a token needs the scope `ops`, a session also the permission that
    opens it in the admin.
    """

    scopes: ClassVar[dict[str, str]] = {"GET": "ops"}
    permission: ClassVar[str] = "stageapp.view_run"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check what every endpoint checks, and of a session the permission."""
        super().initial(request, *args, **kwargs)
        if not (is_consumer(request) or request.user.has_perm(self.permission)):
            raise PermissionDenied(f"This takes the permission {self.permission}.")


class Runs(Watching):
    """List the runs."""

    queries = {"GET": RunQuery}

    def get(self, request: Request) -> Response:
        """Return up to 100 runs, newest first; `next` is the path of those before them."""
        runs = Run.objects.select_related("plan").order_by("-id")
        if "before" in self.query:
            runs = runs.filter(pk__lt=int(self.query["before"]))
        page = list(runs[: PAGE + 1])
        following = f"/api/runs?before={page[PAGE - 1].pk}" if len(page) > PAGE else None
        return Response({"next": following, "results": [brief(run) for run in page[:PAGE]]})


class OneRun(Watching):
    """Look at a run."""

    def get(self, request: Request, pk: int) -> Response:
        """Return how far it is, over all shards and by shard, who works on it, and what holds
        it.
        """
        run = get_object_or_404(Run.objects.select_related("plan"), pk=pk)
        return Response(
            {
                **brief(run),
                "estimated_seconds": run.plan.estimated_seconds,
                "last_error": run.last_error,
                "verified": made.ok if (made := run.verifications.first()) else None,
                "proof": proof.of_run(run).document(),
                "workers_draining": drain.draining(),
                "throttle": throttle(run),
                "progress": moving(progress(run)),
                "shards": shards(run),
            }
        )


def brief(run: Run) -> dict[str, Any]:
    """Return a run for a list."""
    return {
        "id": run.pk,
        "target": run.target,
        "plan": run.plan.hash,
        "state": run.state,
        "actor": run.actor,
        "rows_total": run.plan.rows_total,
        "rows_to_change": run.plan.rows_to_change,
        "created_at": run.created_at,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
    }


def moving(at: Progress) -> dict[str, Any]:
    """Return how far a run is; rows are of the direction that it is going."""
    return {
        "direction": at.direction,
        "percent": at.percent,
        "rows": at.scanned,
        "of": at.total,
        "changed": at.changed,
        "skipped": at.skipped,
        "quarantined": at.quarantined,
        "sweep": at.sweep,
        "rate": at.rate,
        "eta_seconds": at.eta_seconds,
        "written": at.standing.written,
        "undone": at.standing.undone,
        "heartbeat_at": at.heartbeat_at,
        "stuck": at.stuck,
        "workers": at.workers,
    }


def throttle(run: Run) -> dict[str, Any]:
    """Return what holds the run now, and how long its workers have waited in all, by reason."""
    shown = limits.shown(run)
    return {
        "hold": shown.hold or None,
        "reason": shown.reason or None,
        "seconds_by_reason": shown.seconds,
    }


def shards(run: Run) -> list[dict[str, Any]]:
    """Return each shard with its range of keys and its worker, the newest round first."""
    holders = leases.holders(run)
    checkpoints = run.checkpoints.exclude(direction=Direction.VERIFY).order_by(
        "-round", "direction", "shard"
    )
    return [
        {
            "direction": shard.direction,
            "round": shard.round,
            "shard": shard.shard,
            "above": shard.lower or None,
            "up_to": shard.upper or None,
            "position": shard.position or None,
            "sweep": shard.sweep,
            "rows": shard.scanned,
            "changed": shard.changed,
            "skipped": shard.skipped,
            "quarantined": shard.quarantined,
            "finished": shard.finished,
            "worker": holders.get(shard.pk),
            "heartbeat_at": shard.heartbeat_at,
        }
        for shard in checkpoints[:SHARDS]
    ]
