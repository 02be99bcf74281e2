"""The mode store: PostgreSQL is the truth, Redis the fast copy, and requests read a variable.

`current()` never does I/O. The refresher re-reads both stores; `adopt` decides what a reading may
change, so that a lost, late or forged message never makes a process stricter than the last
authorized change.
"""

import dataclasses
import datetime
import json
import os
import threading
import time

from django.db import Error, transaction
from django.db.models import Max, Min
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events, locks, metrics
from stageapp.infrastructure.locks import Lock
from stageapp.infrastructure.refresher import POSTGRES_SECONDS, refresher
from stageapp.mode import fast_copy
from stageapp.models.mode import ModeChange
from stageapp.models.recorded import require_actor, require_reason

STRICTNESS = {"off": 0, "warn": 1, "enforce": 2}
# one for each restored database; more is a forgery, which a restore must not build upon
_MOST_EPOCHS = 1_000_000


class ModeError(Exception):
    """A change of mode that is refused; the text says what to do."""


class VersionConflict(ModeError):
    """Someone else has changed the mode since the caller read it."""

    def __init__(self, actual: int, expected: int) -> None:
        super().__init__(
            f"The mode is at version {actual}, not {expected}: somebody changed it after "
            "you read it. Check the current mode and decide again."
        )
        self.found = actual


@dataclasses.dataclass(frozen=True)
class ModeState:
    """The mode as one process knows it. `source` is where the last confirmation came from.

    `since` is when callers first got warnings: the first change after the last `off`.
    """

    mode: str
    percent: int = 100
    epoch: int = 0
    version: int = 0
    enforce_on: datetime.date | None = None
    source: str = "default"  # default | postgres | redis | last_known
    since: datetime.datetime | None = None

    @property
    def order(self) -> tuple[int, int]:
        """The sort key that decides which of two states is newer."""
        return (self.epoch, self.version)

    @property
    def strictness(self) -> tuple[int, int]:
        """The sort key of strictness: the mode first, then the enforced percentage."""
        return (STRICTNESS[self.mode], self.percent if self.mode == "enforce" else 0)

    @property
    def day_to_come(self) -> datetime.date | None:
        """The announced day until it is over, else None; callers are told this day.

        A day that passed while callers were still warned announces nothing, nor does one before
        the warnings began.
        """
        if self.enforce_on is None or is_past(self.enforce_on):
            return None
        before_warnings = self.since is not None and first_moment(self.enforce_on) < self.since
        return None if before_warnings else self.enforce_on

    def agrees_with(self, other: "ModeState") -> bool:
        """Whether both states are equal, regardless of their source."""
        return dataclasses.replace(self, source=other.source) == other


class _Local:
    """What this process knows, and since when; times are of the monotonic clock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.known: tuple[ModeState, float] | None = None  # read without the lock, so one object
        self.authorised: tuple[ModeState, float] | None = (
            None  # the newest that PostgreSQL itself has told
        )

    def renew_lock(self) -> None:
        self.lock = threading.Lock()


_local = _Local()


def current() -> ModeState:
    """Return the mode in force in this process, without any I/O.

    Until a store answers, it is the configured default. A known mode outlives both stores for
    STAGE_MODE_MAX_STALENESS seconds; after that `enforce` is treated as `warn`.
    """
    refresher.ensure_running()
    known = _local.known
    if known is None:
        return ModeState(conf.default_mode())
    state, confirmed_at = known
    if time.monotonic() - confirmed_at <= conf.settings.mode_max_staleness:
        return state
    mode = "warn" if state.mode == "enforce" else state.mode
    return dataclasses.replace(state, mode=mode, percent=100, source="last_known")


def await_first_answer(seconds: float = 2.0) -> None:
    """Start the refresher and wait at most `seconds` for a store's answer; for a server's start."""
    deadline = time.monotonic() + seconds
    current()
    while _local.known is None and refresher.running and time.monotonic() < deadline:
        time.sleep(0.01)


def age_seconds() -> float | None:
    """Return the seconds since a store last confirmed the mode, None if none has."""
    known = _local.known
    return time.monotonic() - known[1] if known else None


def adopt(reading: ModeState, asked_at: float = 0.0) -> None:
    """Apply one reading of a store; `asked_at` is the monotonic time of the request.

    PostgreSQL decides, unless this reading was requested before it returned something newer (a
    late answer). Redis alone may confirm the known mode, or bring a newer one that is not
    stricter.
    """
    with _local.lock:
        now = time.monotonic()
        if reading.source == "postgres":
            if not _is_newer_or_restored(reading, asked_at):
                return
            _local.authorised = (reading, now)
        else:
            known = _local.known[0] if _local.known else ModeState(conf.default_mode())
            if _local.known and reading.order < known.order:
                return
            if _local.known and reading.order == known.order and not reading.agrees_with(known):
                return
            # What PostgreSQL told last, or looser where Redis said so since.
            if reading.strictness > known.strictness:
                return
        _local.known = (reading, now)


def _is_newer_or_restored(reading: ModeState, asked_at: float) -> bool:
    """Whether to follow this answer of PostgreSQL, even to an older version than it told before.

    If an older answer is not late, the database itself is older now: restored, or failed over, without
    a new epoch. Then a looser mode applies, as the mode is never stricter than the stored one; a
    stricter one waits for an operator.
    """
    if _local.authorised is None:
        return True
    known, told_at = _local.authorised
    if reading.order >= known.order:
        return True
    if asked_at <= told_at:
        return False
    followed = reading.strictness <= known.strictness
    events.mode_went_back(known=str(known), stored=str(reading), followed=followed)
    return followed


def forget() -> None:
    """Clear what this process knows; for tests."""
    global _local
    _local = _Local()


# A thread of the parent may have held the lock.
os.register_at_fork(after_in_child=lambda: _local.renew_lock())


@refresher.register
def refresh() -> None:
    """Follow PostgreSQL and synchronize the fast copy with it.

    Raises:
        django.db.Error: PostgreSQL does not answer.
    """
    # Before the truth: a writer publishes after its commit, so the copy holds no more than that.
    held = fast_copy.read()
    asked_at = time.monotonic()
    metrics.refresh_attempted("postgres")
    try:
        truth = latest()
    except Error:
        metrics.refresh_failed("postgres")
        raise
    adopt(truth, asked_at)
    if held is not None:
        copy = parse_fast_copy(held) if held else None
        if copy is None or not copy.agrees_with(truth):
            publish(truth, instead_of=held)


@refresher.register_fallback
def refresh_from_fast_copy() -> None:
    """Follow Redis while PostgreSQL does not answer; log it if neither does for too long."""
    authorised = _local.authorised
    if authorised and time.monotonic() - authorised[1] <= POSTGRES_SECONDS:
        return
    held = fast_copy.read()
    if held and (copy := parse_fast_copy(held)):
        adopt(copy)
    age = age_seconds()
    if age is not None and age > conf.settings.mode_max_staleness:
        events.mode_stale(age=age, known=str(_local.known), in_force=current().mode)


def latest() -> ModeState:
    """Return the newest authorized mode from PostgreSQL; the configured default without one.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    row = ModeChange.objects.order_by("-epoch", "-version").first()
    if row is None:
        return ModeState(conf.default_mode(), source="postgres")
    since = None
    if row.mode != "off":
        last_off = ModeChange.objects.filter(mode="off").aggregate(last=Max("created_at"))["last"]
        warned = ModeChange.objects.exclude(mode="off")
        if last_off is not None:
            warned = warned.filter(created_at__gt=last_off)
        since = warned.aggregate(first=Min("created_at"))["first"]
    return ModeState(
        row.mode, row.percent, row.epoch, row.version, row.enforce_on, "postgres", since
    )


def change(
    *,
    mode: str,
    actor: str,
    reason: str,
    percent: int = 100,
    enforce_on: datetime.date | None = None,
    withdraw_enforce_on: bool = False,
    expected_version: int | None = None,
    kind: str = "manual",
    override_reason: str = "",
) -> ModeChange:
    """Write an authorized change; the only writer of ModeChange except install and restore.

    Without `enforce_on` the announced day stays unchanged, whatever the mode becomes.

    Raises:
        ModeError: the values are not a valid mode, the day cannot be announced or withdrawn, or
            the actor or the reason is empty.
        VersionConflict: `expected_version` is not the newest.
    """
    check(mode, percent, reason)
    require_actor(actor, ModeError)
    with transaction.atomic():
        locks.wait(Lock.MODE)
        newest = latest()
        if expected_version is not None and expected_version != newest.version:
            raise VersionConflict(newest.version, expected_version)
        day = next_day(newest, enforce_on, withdraw=withdraw_enforce_on)
        row = ModeChange.objects.create(
            epoch=max(newest.epoch, 1),
            version=newest.version + 1,
            mode=mode,
            percent=percent,
            enforce_on=day,
            kind=kind,
            actor=actor,
            reason=reason.strip() + _said_of_the_day(newest.enforce_on, day),
            override_reason=override_reason,
        )
        state = latest()

        def announce() -> None:
            events.mode_changed(
                mode=row.mode,
                percent=row.percent,
                epoch=row.epoch,
                version=row.version,
                kind=row.kind,
                actor=row.actor,
                reason=row.reason,
                enforce_on=str(row.enforce_on or ""),
            )
            adopt(state)
            if publish(state):
                # Only a change hints: if repairs did, one could chase another for ever.
                fast_copy.hint()

        transaction.on_commit(announce)
    return row


def check(mode: str, percent: int, reason: str) -> None:
    """Check that the mode and percentage are valid and a reason is given; raises ModeError."""
    if mode not in STRICTNESS:
        raise ModeError(f"{mode!r} is not a mode. Use off, warn or enforce.")
    if not 1 <= percent <= 100:
        raise ModeError("percent must be from 1 to 100.")
    if percent != 100 and mode != "enforce":
        raise ModeError(
            f"percent applies only to enforce; {mode} applies to everybody. Leave percent out."
        )
    require_reason(reason, ModeError)


def first_moment(day: datetime.date) -> datetime.datetime:
    """Return the start of a day in UTC, as everywhere in this product."""
    return datetime.datetime.combine(day, datetime.time(), datetime.UTC)


def is_past(day: datetime.date) -> bool:
    """Whether a day is over and can no longer be announced."""
    return day < timezone.now().astimezone(datetime.UTC).date()


def check_day(day: datetime.date) -> None:
    """Require a day that can still be announced, as Sunset (RFC 8594) is; raises ModeError."""
    if is_past(day):
        today = timezone.now().astimezone(datetime.UTC).date()
        raise ModeError(f"{day} is in the past. Announce {today} (today in UTC) or a later day.")


def next_day(
    newest: ModeState,
    enforce_on: datetime.date | None,
    *,
    withdraw: bool,
) -> datetime.date | None:
    """Return the announced day after a change: the given one, none if withdrawn, else unchanged.

    Raises:
        ModeError: the day is in the past, there is none to withdraw, or both are requested.
    """
    if withdraw and enforce_on is not None:
        raise ModeError(
            "Either announce a day or withdraw the announced one, not both in one change."
        )
    if withdraw and newest.enforce_on is None:
        raise ModeError("No day is announced, so there is none to withdraw. Leave that option out.")
    if enforce_on is not None:
        check_day(enforce_on)
    return None if withdraw else enforce_on or newest.enforce_on


def _said_of_the_day(before: datetime.date | None, after: datetime.date | None) -> str:
    """Return the history's note on a change of the announced day, empty if unchanged."""
    if before == after:
        return ""
    if after is None:
        return f"\nWithdrew the announced day, {before}."
    moved = f" in place of {before}" if before else ""
    return f"\nAnnounced {after} as the first day of enforcement{moved}."


def publish(state: ModeState, *, instead_of: bytes = b"") -> bool:
    """Update the fast copy, unless newer and not `instead_of`; return whether Redis answered.

    `instead_of` is the copy that the caller has read and found to differ from PostgreSQL.
    """
    body = {
        "mode": state.mode,
        "percent": state.percent,
        "epoch": state.epoch,
        "version": state.version,
        "enforce_on": state.enforce_on.isoformat() if state.enforce_on else None,
        "since": state.since.isoformat() if state.since else None,
    }
    return fast_copy.write(json.dumps(body), state.order, instead_of=instead_of)


def parse_fast_copy(held: bytes) -> ModeState | None:
    """Return the state in the fast copy; if it is invalid, log that and return None."""
    try:
        value = json.loads(held)
        day, since = value["enforce_on"], value.get("since")
        state = ModeState(
            mode=value["mode"],
            percent=value["percent"],
            epoch=value["epoch"],
            version=value["version"],
            enforce_on=datetime.date.fromisoformat(day) if day else None,
            source="redis",
            since=datetime.datetime.fromisoformat(since) if since else None,
        )
        if any(type(number) is not int for number in (state.percent, state.epoch, state.version)):
            raise ModeError("percent, epoch and version must be whole numbers.")
        if (
            min(state.epoch, state.version) < 0
            or state.epoch > _MOST_EPOCHS
            or state.version >= 2**62
        ):
            raise ModeError("epoch and version must not be negative or impossibly large.")
        check(state.mode, state.percent, reason="as it stands")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ModeError) as error:
        events.mode_value_ignored(store="redis", why=repr(error)[:200])
        return None
    return state
