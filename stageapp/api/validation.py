"""Validate a request in its effective mode and build what that mode adds to the response.

`off` adds nothing. `warn` and an accepting `enforce` add headers and a `stage_validation` block; a
refusing `enforce` returns 400 with every invalid value. Headers carry codes and counts only, never
a raw value.
"""

import datetime
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.utils.crypto import salted_hmac
from django.utils.http import http_date

from stageapp import conf
from stageapp.api.errors import Problem, place
from stageapp.api.fields import json_number
from stageapp.infrastructure import events
from stageapp.infrastructure.events import Sampler
from stageapp.mode import store
from stageapp.mode.store import ModeState, first_moment
from stageapp.rollout.canary import effective_mode
from stageapp.validation import Decision, decide
from stageapp.vocabulary import snapshot as vocabulary
from stageapp.vocabulary.snapshot import Snapshot

SLOW_SECONDS = 0.001
DEPRECATIONS = "/api/deprecations"


@dataclass(frozen=True)
class Encounter:
    """The validation of one request."""

    state: ModeState
    vocabulary: Snapshot
    decision: Decision
    seconds: float  # the decision took

    @property
    def slow(self) -> bool:
        """Whether the decision took more than 1 ms."""
        return self.seconds > SLOW_SECONDS


def effective(caller: str) -> str:
    """Return the effective mode of this caller's request; no I/O."""
    return effective_mode(store.current(), caller)


def meet(values: Sequence[tuple[str, str]], caller: str) -> Encounter:
    """Decide on (JSON pointer, raw value) pairs; the caller's name is also their source."""
    state, snapshot = store.current(), vocabulary.current()
    started = time.perf_counter()
    decision = decide(
        values, mode=effective_mode(state, caller), vocabulary=snapshot, source=caller
    )
    return Encounter(state, snapshot, decision, time.perf_counter() - started)


class UnknownStages(Problem):
    """The request names something that is not a stage, and the mode is `enforce`."""

    status_code, default_code, title = 400, "unknown_stage", "A stage is not known"
    default_detail = (
        "The request contains a value that is not a stage; see errors, and send one of "
        "valid_stages."
    )

    def __init__(self, met: Encounter) -> None:
        super().__init__()
        self.met = met

    def members(self) -> dict[str, Any]:
        """Return every invalid value, and the valid ones."""
        return {
            "errors": unknowns(self.met.decision),
            "valid_stages": list(self.met.vocabulary.labels),
        }

    def headers(self) -> dict[str, str]:
        """Return the same headers as a warning."""
        return headers(self.met)


def unknowns(decision: Decision) -> list[dict[str, Any]]:
    """Return the unknown values with reasons and suggestions, for a response body."""
    return [
        {
            **place(u.pointer),
            "value": u.value,
            "reason": u.reason,
            "suggestions": list(u.suggestions),
        }
        for u in decision.unknowns
    ]


def block(met: Encounter, unallocated: Decimal | None) -> dict[str, Any]:
    """Return the `stage_validation` member of a response; `unallocated` is a share of 1."""
    decision = met.decision
    document = {
        "mode": decision.mode,
        "verdict": decision.verdict,
        "would_reject": bool(decision.unknowns),
        "enforce_on": until(met.state, decision.mode),
        "vocabulary_version": met.vocabulary.version,
        "unknown": unknowns(decision),
        "retired": [
            {**place(r.pointer), "value": r.value, "stage": r.stage} for r in decision.retired
        ],
    }
    return (
        document if unallocated is None else {**document, "unallocated": json_number(unallocated)}
    )


def headers(met: Encounter) -> dict[str, str]:
    """Return the mode's headers: verdict as a structured field (RFC 9651), and X-Stage headers.

    Sunset is set only if the values will be refused from a future day.
    """
    decision = met.decision
    if decision.mode == "off":
        return {}
    unknown, retired = len(decision.unknowns), len(decision.retired)
    answer = {
        "Stage-Validation": f"{decision.mode};verdict={decision.verdict};unknown={unknown};retired={retired}",
        "X-Stage-Mode": decision.mode,
        "X-Stage-Would-Reject": "true" if unknown else "false",
        "X-Stage-Unknown-Count": str(unknown),
    }
    if decision.verdict != "canonical":
        counts = {"unknown-stage": unknown, "retired-spelling": retired}
        answer["X-Stage-Warning"] = ", ".join(code for code, count in counts.items() if count)
        answer |= _deprecation(met.state, until(met.state, decision.mode) if unknown else None)
    return answer


def until(state: ModeState, mode: str) -> datetime.date | None:
    """Return the day from which a caller in this mode will be refused unknown stages, or None.

    Headers, bodies and /api/deprecations all use this, so that they agree.
    """
    return None if mode == "enforce" else state.day_to_come


def _deprecation(state: ModeState, ends_on: datetime.date | None) -> dict[str, str]:
    """Return Deprecation (RFC 9745) since warnings began, any Sunset (RFC 8594), and Link.

    `ends_on` is the day from which the values are refused. A retired spelling has none, because
    even `enforce` accepts it.
    """
    answer = {"Link": f'<{DEPRECATIONS}>; rel="deprecation"'}
    if state.since is not None:
        answer["Deprecation"] = f"@{int(state.since.timestamp())}"
    if ends_on is not None:
        answer["Sunset"] = http_date(first_moment(ends_on).timestamp())
    return answer


# Log lines of requests with unknown stages: sampled where they are many, so that a flood costs
# little.

MOST_VALUES = 5
LONGEST_VALUE = 80  # characters

_sampler = Sampler()
os.register_at_fork(after_in_child=_sampler.renew)


def note(*, endpoint: str, consumer: str, decision: Decision, meta: Mapping[str, Any]) -> None:
    """Log a request with unknown stages if the sampler keeps it; `meta` is WSGI's."""
    rate = _sampler.rate(conf.settings.log_sample_rate)
    if rate is None:
        return
    events.unknown_stages(
        endpoint=endpoint,
        consumer=consumer,
        mode=decision.mode,
        outcome=decision.outcome,
        reasons=sorted({unknown.reason for unknown in decision.unknowns}),
        unknown=len(decision.unknowns),
        values=[unknown.value[:LONGEST_VALUE] for unknown in decision.unknowns[:MOST_VALUES]],
        user_agent=fingerprint(str(meta.get("HTTP_USER_AGENT", ""))),
        rate=rate,
    )


def fingerprint(user_agent: str) -> str:
    """Return a keyed hash that tells programs apart but identifies none from the log alone."""
    return (
        salted_hmac("stageapp.user_agent", user_agent, algorithm="sha256").hexdigest()[:16]
        if user_agent
        else ""
    )
