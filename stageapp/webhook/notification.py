"""Parse Alertmanager notifications: which alerts they report, and which take back `enforce`."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

ACTION, DOWNGRADE = "action", "downgrade"
MAX_ALERTS = 1000
MAX_TEXT = 200

_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Unreadable(ValueError):
    """The body is not an Alertmanager notification; the text says what is missing."""


@dataclass(frozen=True)
class Alert:
    """One alert; `fingerprint` and `starts_at` together identify a firing."""

    name: str
    firing: bool
    action: str
    fingerprint: str
    starts_at: str

    @property
    def downgrades(self) -> bool:
        """Whether it takes back `enforce`: it fires and its rule says so. Others only notify."""
        return self.firing and self.action == DOWNGRADE


@dataclass(frozen=True)
class Notification:
    """One body. `sent_at` is the group's label `timestamp`, `test` what a test says of itself."""

    alerts: tuple[Alert, ...]
    sent_at: str = ""
    test: str | None = None

    @property
    def names(self) -> list[str]:
        """The names of its alerts, each once."""
        return list(dict.fromkeys(alert.name for alert in self.alerts))

    @property
    def downgrading(self) -> list[str]:
        """The names of the alerts that take back `enforce`."""
        return list(dict.fromkeys(alert.name for alert in self.alerts if alert.downgrades))

    def digest(self, *more: object) -> str:
        """Return a hex digest that identifies this notification; a repeat has the same one."""
        told = sorted((alert.fingerprint, alert.starts_at, alert.firing) for alert in self.alerts)
        return hashlib.sha256(json.dumps([told, [str(it) for it in more]]).encode()).hexdigest()


def read(body: bytes) -> Notification:
    """Parse a body; raises Unreadable and nothing else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise Unreadable("The body is not JSON in UTF-8.") from None
    if not isinstance(value, dict):
        raise Unreadable("The body is not a JSON object.")
    alerts = value.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > MAX_ALERTS:
        raise Unreadable(f"`alerts` must be a list of at most {MAX_ALERTS}.")
    group = value.get("groupLabels")
    sent_at = group.get("timestamp", "") if isinstance(group, dict) else ""
    test = value.get("test")
    return Notification(
        tuple(map(_alert, alerts)),
        str(sent_at)[:MAX_TEXT],
        None if test is None else clean(str(test)),
    )


def clean(text: str, length: int = MAX_TEXT) -> str:
    """Replace what cannot be stored or seen, and cut the text to `length`."""
    return _UNSEEN.sub("?", text[:length])


def _alert(value: Any) -> Alert:
    if not isinstance(value, dict) or value.get("status") not in ("firing", "resolved"):
        raise Unreadable("Each of `alerts` must have a `status`, firing or resolved.")
    labels = value.get("labels")
    if not isinstance(labels, dict) or not all(isinstance(text, str) for text in labels.values()):
        raise Unreadable("Each of `alerts` must have `labels`, a map of strings.")
    return Alert(
        name=clean(labels.get("alertname", "")) or "(no name)",
        firing=value["status"] == "firing",
        action=labels.get(ACTION, ""),
        fingerprint=clean(
            str(
                value.get("fingerprint")
                or hashlib.sha256(json.dumps(sorted(labels.items())).encode()).hexdigest()[:16]
            )
        ),
        starts_at=clean(str(value.get("startsAt", ""))),
    )
