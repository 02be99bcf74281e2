"""Log lines of requests with unknown stages: sampled where they are many, so that a flood costs little."""

import os
from collections.abc import Mapping
from typing import Any

from django.utils.crypto import salted_hmac

from stageapp import conf, events
from stageapp.sampling import Sampler
from stageapp.validation import Decision

MOST_VALUES = 5
LONGEST_VALUE = 80  # characters

_sampler = Sampler()
os.register_at_fork(after_in_child=_sampler.renew)


def note(*, endpoint: str, consumer: str, decision: Decision, meta: Mapping[str, Any]) -> None:
    """Log a request that held unknown stages, if the sampler keeps it. `meta` is WSGI's."""
    rate = _sampler.rate(conf.log_sample_rate())
    if rate is None:
        return
    events.unknown_stages(
        endpoint=endpoint, consumer=consumer, mode=decision.mode, outcome=decision.outcome,
        reasons=sorted({unknown.reason for unknown in decision.unknowns}), unknown=len(decision.unknowns),
        values=[unknown.value[:LONGEST_VALUE] for unknown in decision.unknowns[:MOST_VALUES]],
        user_agent=fingerprint(str(meta.get("HTTP_USER_AGENT", ""))), rate=rate,
    )  # fmt: skip


def fingerprint(user_agent: str) -> str:
    """Return a keyed hash: it tells programs apart, and names none to whoever has only the log."""
    return salted_hmac("stageapp.user_agent", user_agent, algorithm="sha256").hexdigest()[:16] if user_agent else ""
