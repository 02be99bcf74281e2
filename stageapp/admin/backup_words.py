"""What the screens of backups say about what failed: what to do."""

from collections.abc import Iterable
from typing import Any

_OFTEN_DISK = "Make a new backup, verify it, and look at the disk that this one lies on."
_NOT_EQUAL = (
    "Do not count on this backup: what comes out is not what went in. Make a new one and rehearse it; if that fails "
    "too, look at the live database's disks and at PostgreSQL's log before anything else."
)

# Name of a check → what to do where it fails.
_REMEDIES = {
    "manifest": "If STAGE_BACKUP_KEY was changed, put the old key behind the new one. Else somebody wrote to the "
    "folder of the backups: find out who, and make a new backup.",
    "size": _OFTEN_DISK,
    "sha256": _OFTEN_DISK,
    "listing": _OFTEN_DISK,
    "clock": "Set the clocks of this machine and of the database's machine right, then verify again.",
    "restore": "Read what pg_restore said. Mostly the disk of the rehearsal's server is full, or a right is missing; "
    "remove the cause and rehearse again.",
    "batches": "The audit log and the batches disagree, and they did in the live database: run `normalization verify` "
    "before anything else.",
    "normalize_stage": "The restored function reads aliases otherwise than the vocabulary says. Run `migrate`, "
    "make a new backup, and rehearse that one.",
    "adapter": "The other backup system says so; its own log says more.",
    **dict.fromkeys(("tables", "rows", "md5", "stages", "audit", "vocabulary", "schema"), _NOT_EQUAL),
}

# Verb of a job → what to do where it failed, whatever the cause.
_AFTER_FAILURE = {
    "create": "Nothing of it was kept. Remove the cause and create again.",
    "verify": "This backup does not count. The newest one that does is still there; create another if it is too old.",
    "rehearse": "Its database is gone, and the live one was not touched. Remove the cause and rehearse again.",
    "scheduled": "It is tried again in a few minutes by itself. If it fails once more, remove the cause.",
    "prune": "Nothing was removed. Verify a backup that shall stay, then prune again.",
    "record": "Nothing was taken on record. Remove the cause and ask again.",
}


def remedies(findings: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings of a check, each with what to do where it failed."""
    return [{**one, "todo": "" if one["passed"] else _REMEDIES.get(one["check"], "")} for one in findings]


def after_failure(verb: str) -> str:
    """Return what to do after a job of this verb failed."""
    return _AFTER_FAILURE[verb]
