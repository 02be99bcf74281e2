"""Runs: progress, rate, history, and the buttons that state and permissions allow."""

import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from django_htmx.http import HttpResponseClientRefresh

from stageapp.admin import run_actions
from stageapp.admin.actions import Action
from stageapp.admin.run_actions import ACTIONS, awaits_approval, run_buttons
from stageapp.admin.screens import PageAdmin, page, require
from stageapp.admin.seals import standing
from stageapp.admin.site import site
from stageapp.audit import log, proof, rollbacks
from stageapp.audit.proof import Proof
from stageapp.infrastructure import words
from stageapp.models.batches import Direction
from stageapp.models.normalization import ACTIVE, Run, State
from stageapp.models.proofs import Verification, VerificationJob
from stageapp.normalization import drain, leases, runs, verification_jobs
from stageapp.normalization.progress import progress
from stageapp.targets import targets

# The shards of a run as its page shows them: which rows, how far, and who works there.

SHOWN = 100  # a run has at most 32 shards in a direction; each rollback has its own


def shard_rows(run: Run) -> list[dict[str, Any]]:
    """Return the shards, newest round first; `holder` is empty while no worker holds the lease.

    Checkpoints of verifications are left out: they only carry a lease and have their own section.
    """
    holders = leases.holders(run)
    shards = run.checkpoints.exclude(direction=Direction.VERIFY).order_by(
        "-round", "direction", "shard"
    )[:SHOWN]
    return [
        {
            "at": shard,
            "range": f"{shard.lower or 'the start'} to {shard.upper or 'the end'}",
            "holder": holders.get(shard.pk, ""),
        }
        for shard in shards
    ]


# What a run's page says of its proof: whether it stands, what the run did not do, and every
# verification so far.

_SHOWN = 20  # verifications; the newest counts
_UNFINISHED = (State.PLANNED, State.APPROVED)


def proof_context(run: Run, known: Proof) -> dict[str, Any]:
    """Return the verifications with their age, and what the newest found the run left undone."""
    made = proof.history(run)[:_SHOWN]
    return {
        "verifications": [
            {
                "made": one,
                "ago": words.ago(one.ended_at, known.now),
                "took": words.duration((one.ended_at - one.started_at).total_seconds()),
                "faults": [doubt.text for doubt in proof.faults(one)],
            }
            for one in made
        ],
        "not_done": _not_done(run, made[0]) if made and run.state not in _UNFINISHED else [],
    }


def _not_done(run: Run, made: Verification) -> list[dict[str, Any]]:
    """Return what the run left unchanged, with row counts and links."""
    unknown = f"{reverse('admin:stageapp_unknownentry_changelist')}?kind=table"
    apart = f"{reverse('admin:stageapp_quarantinedrow_changelist')}?run={run.pk}"
    plan = reverse("admin:stageapp_plan_make")
    lines = [
        ("rows_unknown", "unknown: no alias maps them", "Decide them", unknown),
        ("rows_null", "empty (NULL)", "", ""),
        ("quarantined", "in quarantine: the database refused to change them", "See them", apart),
        ("rows_unplanned", "known, but not in the plan", "Plan again", plan),
        ("rows_left", "contain a planned spelling again", "Plan again", plan),
        (
            "rows_given_back",
            "contain their old spelling again after a rollback",
            "Plan again",
            plan,
        ),
        ("rows_changed_since", "changed by somebody since", "", ""),
        ("rows_deleted_since", "deleted since", "", ""),
    ]
    rows = ((made.found.get(name) or 0, *line) for name, *line in lines)
    return [
        {"rows": number, "what": what, "verb": verb, "url": url}
        for number, what, verb, url in rows
        if number
    ]


def verification_job(run: Run) -> dict[str, Any] | None:
    """Return the newest requested verification unless it is done; a failed one stays shown."""
    newest = verification_jobs.newest(run)
    if newest is None or newest.state == "done":
        return None
    at = verification_jobs.progress(newest)
    return {
        "job": newest,
        "at": at,
        "left": words.duration(at.eta_seconds) if at.eta_seconds is not None else "",
        "active": newest.state in VerificationJob.ACTIVE,
    }


LEFT = 200  # rows listed of those that a rollback left alone
QUARANTINED = 20  # rows shown on the run's own page; all of them are one link away
NEWEST = 10  # batches shown on the run's own page; all of them are one link away


@admin.register(Run, site=site)
class RunAdmin(PageAdmin):
    page_template = "run.html"
    list_display = [
        "id",
        "target",
        "shown_state",
        "actor",
        "created_at",
        "started_at",
        "finished_at",
    ]
    list_filter = ["state", "target"]
    search_fields = ["plan__hash__startswith", "actor"]
    list_select_related = ["plan"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        """Add to each run how many rows it wrote and how many of them were rolled back."""
        return rollbacks.with_standing(super().get_queryset(request))

    @admin.display(description="State", ordering="state")
    def shown_state(self, run: Run) -> str:
        """Return the state and, after a rollback, what remains in effect."""
        state, what = run.stands.capitalize(), rollbacks.annotated(run).words
        if not what:
            return state
        return what.capitalize() if run.state == State.ROLLED_BACK else f"{state}, {what}"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:run_id>/progress/",
                never_cache(self.progress_view),
                name="stageapp_run_progress",
            ),
            path("<int:run_id>/left/", wrap(self.left_view), name="stageapp_run_left"),
            path("<int:run_id>/throttle/", wrap(self.throttle_view), name="stageapp_run_throttle"),
            path("<int:run_id>/tune/", wrap(self.tune_view), name="stageapp_run_tune"),
            path("<int:run_id>/part/", wrap(self.part_view), name="stageapp_run_part"),
            path("<int:run_id>/do/<slug:name>/", wrap(self.action_view), name="stageapp_run_do"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        """Return the run, its history and its buttons."""
        live = _live(request, row)
        return {
            **live,
            "title": f"Run {row.pk}",
            "standing": standing(request, row.target),
            "moves": row.moves.order_by("-id"),
            "shards": shard_rows(row),
            **proof_context(row, live["proof"]),
            "quarantine": row.quarantine.all()[:QUARANTINED],
            "rollbacks": row.rollbacks.order_by("-round"),
            "no_end": log.NO_END,
            "may_tune": run_actions.TUNE.offered(request, row),
            "may_undo_a_part": run_actions.PART.offered(request, row),
            "batches": row.batches.order_by("-id")[:NEWEST],
            "limit_changes": run_actions.changes(row),
        }

    @method_decorator(require_GET)
    def progress_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Return the live fragment; an expired session gets 403, which htmx leaves alone."""
        if not self.admin_site.has_permission(request):
            raise PermissionDenied
        run = self.row_or_404(request, str(run_id))
        shown = _live(request, run)
        if not shown["active"]:  # the run has come to rest: its history is worth a reload
            return HttpResponseClientRefresh()
        return TemplateResponse(request, "admin/stageapp/run_live.html", shown)

    @method_decorator(require_GET)
    def left_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """List the rows that a rollback left unchanged."""
        run = self.row_or_404(request, str(run_id))
        rows = log.left_behind(run, targets.resolve(run.target), limit=LEFT)
        title = f"Rows that the rollback of run {run.pk} left alone"
        return page(
            request, "run_left.html", opts=self.opts, title=title, run=run, rows=rows, bound=LEFT
        )

    def throttle_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        return self._confirm(request, run_id, run_actions.LIMITS)

    def tune_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        return self._confirm(request, run_id, run_actions.TUNE)

    def part_view(self, request: HttpRequest, run_id: int) -> HttpResponse:
        """Choose a part of the run, preview its rollback, and confirm it."""
        run = self.row_or_404(request, str(run_id))
        require(request, "rollback_run")
        return run_actions.part_view(request, run, self.opts)

    def action_view(self, request: HttpRequest, run_id: int, name: str) -> HttpResponse:
        if name not in ACTIONS:
            raise Http404(f"There is no action {name}.")
        return self._confirm(request, run_id, ACTIONS[name])

    def _confirm(self, request: HttpRequest, run_id: int, action: Action[Run]) -> HttpResponse:
        run = self.row_or_404(request, str(run_id))
        return action.confirm(
            request,
            run,
            back=reverse("admin:stageapp_run_change", args=[run.pk]),
            title=f"{action.label}: run {run.pk}",
            opts=self.opts,
            run=run,
        )


def _live(request: HttpRequest, run: Run) -> dict[str, Any]:
    job = verification_job(run)
    return {
        "run": run,
        "progress": progress(run),
        "stuck_minutes": runs.STUCK_AFTER // datetime.timedelta(minutes=1),
        "active": run.state in ACTIVE or bool(job and job["active"]),
        "job": job,
        "proof": proof.of_run(run),
        "drain": drain.newest(),
        "actions": run_buttons(request, run),
        "awaits_approval": awaits_approval(run),
        **run_actions.throttle_context(request, run),
    }
