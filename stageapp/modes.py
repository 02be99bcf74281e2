"""The mode store: PostgreSQL is the truth, Redis the fast copy, a variable what a request reads.

`current()` never does I/O. The refresher re-reads both stores; `adopt` decides what a reading may change, so
that a lost, late or forged message never makes a process stricter than the last authorised change.
"""

import dataclasses
import datetime
import json
import threading
import time
from typing import Any

import redis
from django.db import DatabaseError, connection, transaction
from django.db.models import Max, Min

from stageapp import conf, events
from stageapp.models.modes import ModeChange
from stageapp.redis_clients import strict
from stageapp.refresher import CHANNEL, refresher

KEY = "stage:mode"
STRICTNESS = {"off": 0, "warn": 1, "enforce": 2}
_CHANGE_LOCK = 7_306_001  # advisory lock: one writer of ModeChange at a time

# Writes the fast copy unless a newer one is there already (two writers may publish out of order).
_PUBLISH_LUA = """
local held = redis.call('GET', KEYS[1])
local ok, value = pcall(cjson.decode, held or 'null')
if ok and type(value) == 'table' and tonumber(value.epoch) and tonumber(value.version) then
  local epoch, version = tonumber(ARGV[2]), tonumber(ARGV[3])
  if value.epoch > epoch or (value.epoch == epoch and value.version > version) then return 0 end
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[4], ARGV[3])
return 1
"""


class ModeError(Exception):
    """A change of mode that is refused; the text says what to do."""


class VersionConflict(ModeError):
    """Somebody else changed the mode since the caller looked."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(
            f"The mode is at version {found}, not {expected}: somebody changed it since you looked. "
            "Look at the current mode and decide again."
        )
        self.found = found


@dataclasses.dataclass(frozen=True)
class ModeState:
    """A mode as one process knows it. `source` is where the last confirmation came from.

    `since` is when callers began to be warned: the first change after the last `off`.
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
        """Return what decides which of two states is newer."""
        return (self.epoch, self.version)

    @property
    def strictness(self) -> tuple[int, int]:
        """Return how strict the state is: the mode first, the enforced percentage next."""
        return (STRICTNESS[self.mode], self.percent if self.mode == "enforce" else 0)


class _Local:
    """What this process knows, and since when; times are of the monotonic clock."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state: ModeState | None = None
        self.authorised: ModeState | None = None  # the newest state that PostgreSQL itself has told
        self.confirmed_at = 0.0


_local = _Local()


def current() -> ModeState:
    """Return the mode in force in this process, without any I/O.

    Before the first answer of a store it is the configured default. A known mode outlives both stores for
    STAGE_MODE_MAX_STALENESS seconds; after that `enforce` counts as `warn`.
    """
    refresher.ensure_running()
    state = _local.state
    if state is None:
        return ModeState(conf.default_mode())
    if time.monotonic() - _local.confirmed_at <= conf.mode_max_staleness():
        return state
    mode = "warn" if state.mode == "enforce" else state.mode
    return dataclasses.replace(state, mode=mode, percent=100, source="last_known")


def age_seconds() -> float | None:
    """Return the seconds since a store last confirmed the mode, or None before the first time."""
    return time.monotonic() - _local.confirmed_at if _local.state else None


def adopt(reading: ModeState) -> None:
    """Take one reading of a store into account.

    PostgreSQL decides, unless the reading is older than what it told before (a late answer). Redis alone may
    bring a newer mode only where it is not stricter than the last one PostgreSQL told.
    """
    with _local.lock:
        if reading.source == "postgres":
            if _local.authorised and reading.order < _local.authorised.order:
                return
            _local.authorised = reading
        elif (_local.state is not None and reading.order < _local.state.order) or reading.strictness > _ceiling():
            return
        _local.state = reading
        _local.confirmed_at = time.monotonic()


def _ceiling() -> tuple[int, int]:
    known = _local.authorised or ModeState(conf.default_mode())
    return known.strictness


def forget() -> None:
    """Forget what this process knows; for tests."""
    global _local
    _local = _Local()


@refresher.register
def refresh() -> None:
    """Re-read both stores; the order matters: PostgreSQL has the last word."""
    from_redis = _read_redis()
    if from_redis is not None:
        adopt(from_redis)
    try:
        from_postgres = latest()
    except DatabaseError as error:
        connection.close()
        events.mode_store_failed(store="postgres", error=repr(error))
        return
    adopt(from_postgres)
    if from_redis is None or from_redis.order != from_postgres.order:
        publish(from_postgres)


def latest() -> ModeState:
    """Return the newest authorised mode straight from PostgreSQL; the configured default if there is none.

    Raises:
        django.db.DatabaseError: PostgreSQL does not answer.
    """
    row = ModeChange.objects.order_by("-epoch", "-version").first()
    if row is None:
        return ModeState(conf.default_mode(), source="postgres")
    since = None if row.mode == "off" else _warned_since()
    return ModeState(row.mode, row.percent, row.epoch, row.version, row.enforce_on, "postgres", since)


def _warned_since() -> datetime.datetime | None:
    last_off = ModeChange.objects.filter(mode="off").aggregate(last=Max("created_at"))["last"]
    warned = ModeChange.objects.exclude(mode="off")
    if last_off is not None:
        warned = warned.filter(created_at__gt=last_off)
    found: datetime.datetime | None = warned.aggregate(first=Min("created_at"))["first"]
    return found


def change(
    *,
    mode: str,
    actor: str,
    reason: str,
    percent: int = 100,
    enforce_on: datetime.date | None = None,
    expected_version: int | None = None,
    kind: str = "manual",
    override_reason: str = "",
) -> ModeChange:
    """Write an authorised change; the only writer of ModeChange.

    Raises:
        ModeError: the values make no mode, or the reason is empty.
        VersionConflict: `expected_version` is not the newest.
    """
    _check(mode, percent, reason)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_CHANGE_LOCK])
        newest = latest()
        if expected_version is not None and expected_version != newest.version:
            raise VersionConflict(newest.version, expected_version)
        row = ModeChange.objects.create(
            epoch=max(newest.epoch, 1), version=newest.version + 1, mode=mode, percent=percent,
            enforce_on=enforce_on, kind=kind, actor=actor, reason=reason.strip(), override_reason=override_reason,
        )  # fmt: skip
        state = latest()
        transaction.on_commit(lambda: _announce(state))
    events.mode_changed(
        mode=mode,
        percent=percent,
        epoch=row.epoch,
        version=row.version,
        kind=kind,
        actor=actor,
        reason=reason,
    )
    return row


def _check(mode: str, percent: int, reason: str) -> None:
    if mode not in STRICTNESS:
        raise ModeError(f"{mode!r} is not a mode. Use off, warn or enforce.")
    if not 1 <= percent <= 100:
        raise ModeError("percent must be from 1 to 100.")
    if percent != 100 and mode != "enforce":
        raise ModeError(f"percent belongs to enforce; {mode} applies to everybody. Leave percent out.")
    if not reason.strip():
        raise ModeError("A reason is needed: say why, for whoever reads the history.")


def _announce(state: ModeState) -> None:
    adopt(state)
    publish(state)


def publish(state: ModeState) -> None:
    """Bring the fast copy up to date and hint to all processes; best effort, the re-read is the guarantee."""
    body = {
        "mode": state.mode,
        "percent": state.percent,
        "epoch": state.epoch,
        "version": state.version,
        "enforce_on": state.enforce_on.isoformat() if state.enforce_on else None,
        "since": state.since.isoformat() if state.since else None,
    }
    try:
        strict().eval(_PUBLISH_LUA, 1, KEY, json.dumps(body), state.epoch, state.version, CHANNEL)
    except redis.RedisError as error:
        events.mode_store_failed(store="redis", error=repr(error))


def _read_redis() -> ModeState | None:
    try:
        held: Any = strict().getrange(KEY, 0, 1000)
    except redis.RedisError as error:
        events.mode_store_failed(store="redis", error=repr(error))
        return None
    return parse_fast_copy(held) if held else None


def parse_fast_copy(held: bytes) -> ModeState | None:
    """Return the state the fast copy holds, or None (and a log line) where it is not one."""
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
        numbers = (state.percent, state.epoch, state.version)
        if state.mode not in STRICTNESS or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("not a mode")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        events.mode_value_ignored(store="redis", why=repr(error)[:200])
        return None
    return state
