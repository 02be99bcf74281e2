"""The canary: which consumers meet `enforce` while it holds for a share of them only."""

import hashlib

from stageapp.modes import ModeState

BUCKETS = 100


def bucket(consumer: str) -> int:
    """Return the consumer's bucket, 0 to 99: the same in every process and for ever.

    Because a percentage takes the buckets below it, who is in at 10 % is in at 50 %.
    """
    digest = hashlib.sha256(b"stage-canary:" + consumer.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def effective_mode(state: ModeState, consumer: str) -> str:
    """Return what this consumer's request gets: outside the enforced share, `enforce` is `warn`."""
    if state.mode != "enforce" or bucket(consumer) < state.percent:
        return state.mode
    return "warn"
