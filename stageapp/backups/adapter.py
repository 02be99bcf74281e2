"""The hook for an external backup system: a command that returns the same facts as JSON.

STAGE_BACKUP_ADAPTER is run with `create`, `list`, `verify NAME` or `rehearse NAME` appended, and
prints one JSON document to stdout: an object (for `list` an array of objects) with these names.

    name      the external system's name of the backup; one name is one state of the data
    taken_at  ISO 8601 with an offset: the backup contains every change up to this time
    bytes     its size
    passed    verify and rehearse: true or false
    said      verify and rehearse: one sentence for people
    seconds   rehearse: how long the restore took
"""

import datetime
import json
import shlex
import subprocess
from dataclasses import dataclass
from typing import Any

from stageapp import conf
from stageapp.backups.errors import BackupError


@dataclass(frozen=True)
class Facts:
    """The facts that the adapter reports about a backup."""

    name: str
    taken_at: datetime.datetime
    bytes: int
    passed: bool | None = None
    said: str = ""
    seconds: float | None = None


def ask(verb: str, name: str = "") -> Facts:
    """Run the adapter for one backup and return its answer.

    Raises:
        BackupError: it fails, times out, or returns something invalid; the text says which.
    """
    facts = _facts(_run(verb, name))
    if name and facts.name != name:
        raise BackupError(
            f"The backup adapter was asked about {name} and answered about {facts.name}."
        )
    if verb in ("verify", "rehearse") and facts.passed is None:
        raise BackupError(
            f"The backup adapter did not say whether `{verb}` passed: `passed` is missing."
        )
    return facts


def listed() -> list[Facts]:
    """Return the backups that the adapter lists; raises BackupError as `ask` does."""
    listing = _run("list")
    if not isinstance(listing, list):
        raise BackupError("The backup adapter must answer `list` with a JSON array.")
    return [_facts(one) for one in listing]


def _run(*words: str) -> Any:
    command = [*shlex.split(conf.settings.backup_adapter), *filter(None, words)]
    try:
        done = subprocess.run(  # noqa: S603  the words are the operator's own; no shell reads them
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=conf.settings.backup_adapter_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupError(
            f"The backup adapter could not be run or did not finish: {error}."
        ) from None
    if done.returncode:
        tail = done.stderr.decode(errors="replace").strip()[-1000:]
        raise BackupError(f"The backup adapter failed ({done.returncode}): {tail}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise BackupError(f"The backup adapter did not return JSON: {error}.") from None


def _facts(document: Any) -> Facts:
    try:
        facts = Facts(
            **document | {"taken_at": datetime.datetime.fromisoformat(document["taken_at"])}
        )
        if not isinstance(facts.name, str) or not facts.name or len(facts.name) > 200:
            raise ValueError("name must be a string of 1 to 200 characters")
        if facts.taken_at.tzinfo is None:
            raise ValueError("taken_at needs a UTC offset")
        if (
            type(facts.bytes) is not int
            or facts.bytes < 0
            or type(facts.passed) not in (bool, type(None))
        ):
            raise ValueError("bytes must be a whole number, and passed must be true or false")
        if not isinstance(facts.said, str) or type(facts.seconds) not in (int, float, type(None)):
            raise ValueError("said must be a string, and seconds a number")
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise BackupError(
            f"The backup adapter's answer does not match its documentation: {error!r}."
        ) from None
    return facts
