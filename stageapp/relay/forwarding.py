"""Sign a notification and hand it on, again and again until the receiver has it or the time is over."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from stageapp import events
from stageapp.webhook import sending, signatures
from stageapp.webhook.notification import Notification
from stageapp.webhook.sending import NotReached

SLOT_SECONDS = 300  # a repeat within it is the same delivery
ATTEMPT_SECONDS = 4.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 2.0
UNREACHABLE = 503  # Alertmanager comes again
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


def delivery_id(told: Notification, now: float) -> str:
    """Return the id of a delivery, made from what it tells, so that Alertmanager's own repeats are the same one.

    After SLOT_SECONDS a repeat is another one: an alert that still fires after a person has raised the mode again is
    to take it back. `now` is in seconds since 1970.
    """
    return f"am_{told.digest(int(now // SLOT_SECONDS))[:40]}"


@dataclass(frozen=True)
class Forwarder:
    """Hands notifications on. `seconds` is how long it tries; `stopping` ends the tries early."""

    url: str
    key: bytes
    seconds: float
    stopping: threading.Event
    clock: Callable[[], float] = time.time

    def forward(self, body: bytes, told: Notification) -> int:
        """Return the receiver's last status; UNREACHABLE where it has never answered."""
        id, deadline, wait = delivery_id(told, self.clock()), time.monotonic() + self.seconds, FIRST_WAIT
        attempts = 0
        while True:
            attempts += 1
            status = self._attempt(id, body, deadline)
            left = deadline - time.monotonic()
            if status not in _TRANSIENT or left <= wait or self.stopping.wait(wait):
                break
            wait = min(wait * 2, LONGEST_WAIT)
        events.notification_forwarded(id=id, status=status, attempts=attempts, alerts=told.names[:20])
        return status

    def _attempt(self, id: str, body: bytes, deadline: float) -> int:
        """Send once, with a fresh timestamp and the same id."""
        headers = signatures.signed_headers(self.key, id, int(self.clock()), body)
        try:
            seconds = max(0.1, min(ATTEMPT_SECONDS, deadline - time.monotonic()))
            return sending.post(self.url, body, headers, seconds)
        except NotReached as error:
            events.receiver_away(id=id, error=str(error))
            return UNREACHABLE
