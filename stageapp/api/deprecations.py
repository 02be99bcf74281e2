"""GET /api/deprecations: which spellings are retired, since and until when, and what to send instead."""

from django.db.models import F
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp import modes, vocabulary
from stageapp.api import validation
from stageapp.api.authentication import caller_of
from stageapp.api.endpoint import Endpoint
from stageapp.models.vocabulary import StageAlias


class Deprecations(Endpoint):
    """What a caller should stop sending."""

    scopes = {"GET": "read"}

    def get(self, request: Request) -> Response:
        """Return the mode, its dates, and every spelling that is understood but is not the stage itself.

        Other spellings that the text rules reduce to one of these (case, blanks, hyphens) are retired too.
        """
        state, caller = modes.current(), caller_of(request)
        return Response(
            {
                "mode": state.mode,
                "percent": state.percent,
                "effective_mode": validation.effective(caller),
                "since": state.since,
                "until": state.enforce_on,
                "valid_stages": list(vocabulary.current().labels),
                "retired": retired(caller),
            }
        )


def retired(source: str) -> list[dict[str, str]]:
    """Return the labels, and the aliases that hold for everybody or for this source."""
    found = {label: slug for slug, label in vocabulary.current().labels.items() if label != slug}
    aliases = StageAlias.objects.filter(stage__active=True, source__in=["", source])
    aliases = aliases.exclude(spelling=F("stage__slug")).order_by("stage__rank", "source", "spelling")
    found |= dict(aliases.values_list("spelling", "stage__slug"))
    return [{"spelling": spelling, "send": stage} for spelling, stage in found.items()]
