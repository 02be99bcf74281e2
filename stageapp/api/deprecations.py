"""GET /api/deprecations: when unknown stages will be refused, what is retired, what to send."""

from typing import Any

from django.db.models import F
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api import validation
from stageapp.api.authentication import caller_of
from stageapp.api.endpoint import Endpoint
from stageapp.consumers.audit.callers import DAYS, SentValue, sent_values
from stageapp.mode import store
from stageapp.models.vocabulary import StageAlias
from stageapp.vocabulary import snapshot


class Deprecations(Endpoint):
    """What a caller should stop sending."""

    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        """Return the mode, its dates, and every understood spelling that differs from its stage.

        `until` is the day from which unknown stages are refused to this caller, as in the Sunset
        header. Retired spellings are understood in every mode and have no end date. Other
        spellings that the text rules reduce to one of these (case, blanks, hyphens) are retired
        too. `you_sent` is what this caller recently sent that is not a stage; a request appears
        there after a few seconds.
        """
        state, caller = store.current(), caller_of(request)
        mode = validation.effective(caller)
        return Response(
            {
                "mode": state.mode,
                "percent": state.percent,
                "effective_mode": mode,
                "since": state.since,
                "until": validation.until(state, mode),
                "valid_stages": list(snapshot.current().labels),
                "retired": retired(caller),
                "you_sent": you_sent(caller),
            }
        )


def retired(source: str) -> list[dict[str, str]]:
    """Return the labels and the aliases that apply to everyone or to this source."""
    spellings = {label: slug for slug, label in snapshot.current().labels.items() if label != slug}
    aliases = StageAlias.objects.filter(stage__active=True, source__in=["", source])
    aliases = aliases.exclude(spelling=F("stage__slug")).order_by(
        "stage__rank", "source", "spelling"
    )
    spellings |= dict(aliases.values_list("spelling", "stage__slug"))
    return [{"spelling": spelling, "send": stage} for spelling, stage in spellings.items()]


def you_sent(caller: str) -> dict[str, Any]:
    """Return what the caller recently sent that is not canonical: what to send, or why unknown.

    Values are reduced by the text rules, so that one entry covers all ways of writing it.
    Spellings of other callers are never included.
    """
    sent = [value for _, value in sent_values(days=DAYS, names=[caller])]
    return {
        "days": DAYS,
        "retired": [
            {"value": value.value, "send": value.send, **_uses(value)}
            for value in sent
            if value.send is not None
        ],
        "unknown": [
            {
                "value": value.value,
                "reason": value.reason,
                "suggestions": value.suggestions,
                **_uses(value),
            }
            for value in sent
            if value.send is None
        ],
    }


def _uses(value: SentValue) -> dict[str, Any]:
    return {"requests": value.requests, "endpoints": value.endpoints, "last_sent": value.last_sent}
