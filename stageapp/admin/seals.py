"""Seals: which columns take nothing but stages, which are guarded, and what was done by whom."""

from functools import partial
from itertools import chain
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from stageapp import conf
from stageapp.admin.raw_text import visible
from stageapp.admin.screens import page, require
from stageapp.admin.seal_actions import ACTIONS, action_view, offered
from stageapp.admin.seal_preview import seal_view
from stageapp.admin.site import OwnPage, site
from stageapp.models.guards import GuardChange
from stageapp.models.seals import Seal
from stageapp.normalization import guard, guard_counts, seal_state
from stageapp.normalization.errors import TargetError
from stageapp.normalization.seal_preview import DAYS

SHOWN_CAUGHT, SHOWN_STEPS = 10, 30


@require_GET
def seals_view(request: HttpRequest) -> HttpResponse:
    """Show every target with its seal and its guard."""
    require(request, "view_seal")
    targets = [_target(request, label) for label in conf.targets()]
    return page(request, "seals.html", title="Seals", targets=targets, steps=_steps(), days=DAYS)


def _target(request: HttpRequest, label: str) -> dict[str, Any]:
    try:
        now, guarded = seal_state.look(label), guard.look(label)
    except TargetError as problem:
        return {"label": label, "problem": str(problem)}
    turned, failed = guard_counts.totals(label, days=DAYS)
    caught = guard_counts.caught(label, days=DAYS, most=SHOWN_CAUGHT)
    standing = now.seal or now.begun
    return {
        "label": label, "now": now, "standing": standing, "guard": guarded, "turned": turned, "failed": failed,
        "allowed": [visible(value) for value in standing.allowed] if standing else [],
        "caught": [{"one": one, "shown": visible(one.raw)} for one in caught],
        "actions": offered(request, now, guarded),
    }  # fmt: skip


def _steps() -> list[dict[str, Any]]:
    """Return the newest steps of seals and switches of guards, newest first."""
    steps: chain[dict[str, Any]] = chain(
        ({"at": s.created_at, "what": s.get_action_display(), "row": s} for s in Seal.objects.all()[:SHOWN_STEPS]),
        (
            {"at": c.created_at, "what": f"guard {'on' if c.on else 'off'}", "row": c}
            for c in GuardChange.objects.all()[:SHOWN_STEPS]
        ),
    )
    return sorted(steps, key=lambda step: step["at"], reverse=True)[:SHOWN_STEPS]


site.pages.append(OwnPage("stageapp/seals/", "stageapp_seals", seals_view, "Normalization", "Seals", "view_seal"))
site.pages.append(OwnPage("stageapp/seals/seal/", "stageapp_seals_seal", seal_view))
site.pages.extend(
    OwnPage(f"stageapp/seals/{name.replace('_', '-')}/", f"stageapp_seals_{name}", partial(action_view, name=name))
    for name in ACTIONS
)
