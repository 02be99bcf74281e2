"""Workers: who works on what, and whether Celery's workers may take up runs."""

from collections.abc import Callable
from functools import partial

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_GET

from stageapp.admin.actions import Action, buttons
from stageapp.admin.screens import page, require
from stageapp.admin.site import OwnPage, site
from stageapp.models.normalization import ACTIVE, Run, WorkerDrain
from stageapp.normalization import drain, leases
from stageapp.people import Person
from stageapp.targets.errors import NormalizationError
from stageapp.tasks import nudge_forgotten_runs

PAGE = "admin:stageapp_workers"
PERMISSION = "operate_run"
SHOWN = 50


def _switch(draining: bool) -> Callable[..., None]:
    def switch(now: WorkerDrain | None, person: Person, reason: str) -> None:
        drain.switch(draining=draining, actor=person.name, reason=reason)
        if not draining:
            # Robust: with the broker away the change stands, and beat finds the runs.
            transaction.on_commit(lambda: nudge_forgotten_runs.delay(), robust=True)

    return switch


ACTIONS: dict[str, Action[WorkerDrain | None]] = {
    "drain": Action(
        "Drain workers",
        PERMISSION,
        _switch(draining=True),
        "Celery workers finish the batch in flight and pick up no run of any target, "
        "rollbacks included, until draining is turned off; a restart does not end it. "
        "Runs keep their state. A run in a terminal (--foreground) is not affected.",
        "Workers finish the batch in flight and pick up no further run.",
        NormalizationError,
        danger=True,
    ),
    "work": Action(
        "Stop draining workers",
        PERMISSION,
        _switch(draining=False),
        "Workers pick up every active run from its checkpoint.",
        "Workers pick up runs again.",
        NormalizationError,
    ),
}


@require_GET
def workers_view(request: HttpRequest) -> HttpResponse:
    """Show every active run with its workers, and the drain switch with its history."""
    require(request, "view_workerdrain")
    active = (
        Run.objects.filter(state__in=ACTIVE) if request.user.has_perm("stageapp.view_run") else []
    )
    now = drain.newest()
    name = "work" if now and now.draining else "drain"
    return page(
        request,
        "workers.html",
        title="Workers",
        drain=now,
        switches=WorkerDrain.objects.all()[:SHOWN],
        runs=[{"run": run, "workers": leases.held(run)} for run in active],
        actions=buttons(
            request, {name: ACTIONS[name]}, now, lambda name: reverse(f"{PAGE}_{name}")
        ),
    )


def switch_view(request: HttpRequest, name: str) -> HttpResponse:
    return ACTIONS[name].confirm(request, drain.newest(), back=reverse(PAGE), parent="Workers")


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
        partial(switch_view, name=name),
    )
    for name in ACTIONS
)
