"""How the backup command shows things: bars on stderr, lines for people."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils import timezone
from tqdm import tqdm

from stageapp import words
from stageapp.backups.keeping import Known
from stageapp.backups.reports import Report, silent
from stageapp.backups.verify import Verdict
from stageapp.models.backups import Backup, BackupCheck

_UNITS = {"measure": "table"}


@contextmanager
def bars(*, quiet: bool) -> Iterator[Report]:
    """Show one bar for each phase on stderr, with rate and time left; none with --json."""
    if quiet:
        yield silent
        return
    current = _Bar()
    try:
        yield current.report
    finally:
        current.close()


class _Bar:
    """The bar of the phase that is under way; the next phase gets one of its own."""

    def __init__(self) -> None:
        self._phase, self._bar = "", tqdm(disable=True)

    def report(self, phase: str, done: int, whole: int) -> None:
        """Show how far the phase is; a `Report`."""
        if phase != self._phase:
            self.close()
            unit, every = _UNITS.get(phase, "B"), 0.5 if sys.stderr.isatty() else 10.0
            self._phase, self._bar = phase, tqdm(
                desc=phase, total=whole or None, unit=unit, unit_scale=unit == "B", file=sys.stderr, mininterval=every
            )  # fmt: skip
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the bar where it stands."""
        self._bar.close()


def backup_document(backup: Backup) -> dict[str, Any]:
    """Return a backup's facts for JSON."""
    names = ("name", "origin", "taken_at", "ended_at", "bytes", "sha256", "rows", "schema", "vocabulary_version",
             "server_version")  # fmt: skip
    return {name: getattr(backup, name) for name in names}


def backup_lines(backup: Backup) -> list[str]:
    """Return a backup's facts for people."""
    seconds = (backup.ended_at - backup.taken_at).total_seconds()
    rows = "" if backup.rows is None else f", {backup.rows:,} rows"
    return [
        f"{backup.name}: {words.size(backup.bytes)}{rows}, of {backup.taken_at:%F %T} UTC, "
        f"made in {words.duration(seconds)}.",
        "Next: manage.py backup verify, then manage.py backup rehearse",
    ]


def verdict_lines(verdict: Verdict) -> list[str]:
    """Return every finding of a verdict for people."""
    marks = {True: "ok    ", False: "FAILED"}
    lines = [f"  {marks[finding.passed]} {finding.check}: {finding.said}" for finding in verdict.findings]
    return [f"{verdict.name}: {'good' if verdict.passed else 'NOT GOOD'} ({words.duration(verdict.seconds)})", *lines]


def rehearsal_lines(verdict: Verdict) -> list[str]:
    """Return the findings of a rehearsal and what it measured."""
    age = "unknown" if verdict.data_age is None else words.duration(verdict.data_age.total_seconds())
    took = words.duration(verdict.seconds)
    return [*verdict_lines(verdict), f"  time to restore (RTO): {took}; age of the data (RPO): {age}"]


def known_document(known: Known) -> dict[str, Any]:
    """Return a line of the list for JSON."""
    facts = backup_document(known.backup) if known.backup else {"name": known.name}
    age = (timezone.now() - known.backup.taken_at).total_seconds() if known.backup else None
    checks = {"verified": _check(known.verified), "rehearsed": _check(known.rehearsed)}
    return facts | checks | {"present": known.present, "age_seconds": age}


def known_lines(known: list[Known]) -> list[str]:
    """Return the list for people."""
    if not known:
        return ["There is no backup yet. Make one: manage.py backup create"]
    return [
        f"{one.name}  {_size(one)}{_age(one)}  {_verdict('verified', one.verified)}, "
        f"{_verdict('rehearsed', one.rehearsed)}"
        f"{'' if one.present else '  MISSING'}"
        for one in known
    ]


def _size(known: Known) -> str:
    return words.size(known.backup.bytes) if known.backup else "not on record"


def _age(known: Known) -> str:
    return f"  {words.age(known.backup.taken_at)} old" if known.backup else ""


def _verdict(word: str, check: BackupCheck | None) -> str:
    if check is None:
        return f"not {word}"
    ago = f"{words.age(check.created_at)} ago"
    if check.passed:
        return f"{word} {ago} in {words.duration(check.seconds)}"
    return f"FAILED to be {word} {ago}"


def _check(check: BackupCheck | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {"passed": check.passed, "at": check.created_at, "seconds": check.seconds, "actor": check.actor}
