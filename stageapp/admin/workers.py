"""Workers: who works where, and whether Celery's workers may take up runs at all."""

from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from stageapp.admin.actions import confirmed
from stageapp.admin.screens import actor, page, require
from stageapp.admin.site import OwnPage, site
from stageapp.models.normalization import ACTIVE, Run, WorkerDrain
from stageapp.normalization import drain, leases
from stageapp.targets.errors import NormalizationError
from stageapp.tasks import nudge_forgotten_runs

PAGE = "admin:stageapp_workers"
PERMISSION = "operate_run"
SHOWN = 50
# Whether workers drain afterwards → what the button says, what it means, and what is told when it
# is done.
SWITCHES = {
    True: (
        "Let workers take up no run",
        "Celery's workers end the batch in hand, and take up no run of any target until they may "
        "again: also after a restart, and also rollbacks. Runs keep their state. A run in a "
        "terminal (--foreground) is not concerned.",
        "Workers end the batch in hand and take up no run.",
    ),
    False: (
        "Let workers take up runs",
        "Workers take up every run that is under way, from its checkpoint.",
        "Workers take up runs again.",
    ),
}


@require_GET
def workers_view(request: HttpRequest) -> HttpResponse:
    """Show every active run with its workers, and the switch with its history."""
    require(request, "view_workerdrain")
    active = (
        Run.objects.filter(state__in=ACTIVE) if request.user.has_perm("stageapp.view_run") else []
    )
    now = drain.newest()
    name = "stageapp_workers_work" if now and now.draining else "stageapp_workers_drain"
    label = SWITCHES[not (now and now.draining)][0]
    return page(
        request,
        "workers.html",
        title="Workers",
        drain=now,
        switches=WorkerDrain.objects.all()[:SHOWN],
        runs=[{"run": run, "workers": leases.held(run)} for run in active],
        actions=[{"label": label, "url": reverse(f"admin:{name}")}]
        if request.user.has_perm(f"stageapp.{PERMISSION}")
        else [],
    )


def switch_view(request: HttpRequest, draining: bool) -> HttpResponse:
    """Confirm, then drain the workers or let them work."""
    require(request, PERMISSION)
    label, explanation, done = SWITCHES[draining]
    return confirmed(
        request,
        partial(_switch, draining, actor(request)),
        refusals=NormalizationError,
        back=reverse(PAGE),
        done=done,
        title=label,
        parent="Workers",
        explanation=explanation,
        verb=label,
        danger=draining,
    )


def _switch(draining: bool, who: str, reason: str) -> None:
    drain.switch(draining=draining, actor=who, reason=reason)
    if not draining:
        # Robust: with the broker away the change stands, and beat finds the runs.
        transaction.on_commit(lambda: nudge_forgotten_runs.delay(), robust=True)


site.pages.append(
    OwnPage(
        "stageapp/workers/",
        "stageapp_workers",
        workers_view,
        "Normalization",
        "Workers",
        "view_workerdrain",
    )
)
site.pages.extend(
    OwnPage(
        f"stageapp/workers/{name}/",
        f"stageapp_workers_{name}",
        partial(switch_view, draining=draining),
    )
    for name, draining in (("drain", True), ("work", False))
)
