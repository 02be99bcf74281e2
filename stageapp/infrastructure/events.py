"""The structured log: one function per event, a closed set of names, JSON lines on stderr.

Callers of `unknown_stages` sample it; no other event is ever omitted.
"""

import random
import threading
import time
from collections.abc import Callable

import structlog

_log = structlog.get_logger("stageapp")


def mode_changed(
    *,
    mode: str,
    percent: int,
    epoch: int,
    version: int,
    kind: str,
    actor: str,
    reason: str,
    enforce_on: str,
) -> None:
    """Log an authorized change of mode; never sampled. `enforce_on` is the announced day."""
    _log.info(
        "mode_changed",
        mode=mode,
        percent=percent,
        epoch=epoch,
        version=version,
        kind=kind,
        actor=actor,
        reason=reason,
        enforce_on=enforce_on,
    )


def mode_store_failed(*, store: str, error: str) -> None:
    """Log that Redis or PostgreSQL did not answer when the mode was re-read."""
    _log.warning("mode_store_failed", store=store, error=error)


def mode_value_ignored(*, store: str, why: str) -> None:
    """Log that a store contained something that is not a mode."""
    _log.warning("mode_value_ignored", store=store, why=why)


def mode_stale(*, age: float, known: str, in_force: str) -> None:
    """Log that no store has confirmed the mode for too long: `enforce` is treated as `warn`."""
    _log.error("mode_stale", age=round(age, 1), known=known, in_force=in_force)


def setting_ignored(*, name: str, value: str, instead: str) -> None:
    """Log that a setting is invalid, and which value is used instead."""
    _log.error("setting_ignored", name=name, value=value, instead=instead)


def refresh_job_failed(*, job: str, error: str) -> None:
    """Log that a periodic job of this process raised; the next tick retries it."""
    _log.error("refresh_job_failed", job=job, error=error)


def vocabulary_changed(*, version: int, actor: str, reason: str) -> None:
    """Log a new vocabulary version."""
    _log.info("vocabulary_changed", version=version, actor=actor, reason=reason)


def assumptions_changed(*, stage: str, version: int, actor: str, reason: str) -> None:
    """Log a change of the assumptions that simulations and reserves use for a stage."""
    _log.info("assumptions_changed", stage=stage, version=version, actor=actor, reason=reason)


def run_moved(*, run: int, old: str, new: str, actor: str, reason: str) -> None:
    """Log a change of a run's state."""
    _log.info("run_moved", run=run, old=old, new=new, actor=actor, reason=reason)


def batch_retried(*, run: int, error: str, attempt: int, batch_rows: int) -> None:
    """Log that a batch transaction failed, was rolled back, and will be retried."""
    _log.warning("batch_retried", run=run, error=error, attempt=attempt, batch_rows=batch_rows)


def workers_drained(*, draining: bool, actor: str, reason: str) -> None:
    """Log that Celery's workers may no longer pick up runs, or may again."""
    _log.warning("workers_drained", draining=draining, actor=actor, reason=reason)


def row_quarantined(*, run: int, shard: int, error: str) -> None:
    """Log that the database rejects a change of one row, which is left unchanged and listed."""
    _log.error("row_quarantined", run=run, shard=shard, error=error)


def unknown_stages(
    *,
    endpoint: str,
    consumer: str,
    mode: str,
    outcome: str,
    reasons: list[str],
    unknown: int,
    values: list[str],
    user_agent: str,
    rate: float,
) -> None:
    """Log a request with unknowns; 1 / `rate` of them happened. `user_agent` is a keyed hash."""
    _log.info(
        "unknown_stages",
        endpoint=endpoint,
        consumer=consumer,
        mode=mode,
        outcome=outcome,
        reasons=reasons,
        unknown=unknown,
        values=values,
        user_agent=user_agent,
        rate=rate,
    )


def validator_failed(*, endpoint: str, error: str) -> None:
    """Log an exception in the validator; the caller gets a 5xx problem without details."""
    _log.error("validator_failed", endpoint=endpoint, error=error)


def drift_found(*, target: str, known_rows: int, unknown_rows: int, values: int) -> None:
    """Log that rows of a normalized column again contain values that are not stages."""
    _log.warning(
        "drift_found",
        target=target,
        known_rows=known_rows,
        unknown_rows=unknown_rows,
        values=values,
    )


def drift_watch_failed(*, target: str, error: str) -> None:
    """Log that the drift check could not read a target; the next check retries it."""
    _log.error("drift_watch_failed", target=target, error=error)


def traffic_lost(*, requests: int) -> None:
    """Log that counts were discarded because PostgreSQL did not accept them for hours."""
    _log.error("traffic_lost", requests=requests)


def traffic_rolled_up(*, windows: int) -> None:
    """Log that windows older than a day were merged into hours."""
    _log.info("traffic_rolled_up", windows=windows)


def gates_overridden(*, actor: str, mode: str, percent: int, gates: list[str], reason: str) -> None:
    """Log that someone moved forward past gates that do not pass; never sampled."""
    _log.warning(
        "gates_overridden", actor=actor, mode=mode, percent=percent, gates=gates, reason=reason
    )


def trial_ended(
    *, plan: str, backup: str, passed: bool, rows: int, seconds: float, actor: str
) -> None:
    """Log the outcome of a plan's trial on a copy."""
    say = _log.info if passed else _log.warning
    say(
        "trial_ended",
        plan=plan,
        backup=backup,
        passed=passed,
        rows=rows,
        seconds=seconds,
        actor=actor,
    )


def run_without_backup(*, run: int, actor: str, gates: list[str], reason: str) -> None:
    """Log as an error that a run starts without a verified backup or a rehearsed restore."""
    _log.error("run_without_backup", run=run, actor=actor, gates=gates, reason=reason)


def glass_broken(*, actor: str, what: str, reason: str) -> None:
    """Log as an error that one person did alone what requires two."""
    _log.error("glass_broken", actor=actor, what=what, reason=reason)


def mode_downgraded(*, actor: str, reason: str) -> None:
    """Log an auto-downgrade as an error; only a user with `rearm` can raise the mode again."""
    _log.error("mode_downgraded", actor=actor, reason=reason)


def step_cancelled(*, percent: int, why: str) -> None:
    """Log that a planned step will not be taken."""
    _log.warning("step_cancelled", percent=percent, why=why)


def consumer_pinned(*, consumer: str, place: str, actor: str, reason: str) -> None:
    """Log that someone pinned a consumer into the canary or out of it, or removed the pin."""
    _log.info("consumer_pinned", consumer=consumer, place=place, actor=actor, reason=reason)


def mode_went_back(*, known: str, stored: str, followed: bool) -> None:
    """Log as an error that PostgreSQL returned to an older mode; a stricter one is not followed."""
    advice = "" if followed else "Check the stored mode, then restart the servers to follow it."
    _log.error("mode_went_back", known=known, stored=stored, followed=followed, advice=advice)


def connection_cut(*, job: str, seconds: float) -> None:
    """Log that PostgreSQL hung and that the refresher's connection was cut."""
    _log.error("connection_cut", job=job, seconds=seconds)


def backup_created(*, name: str, bytes: int, actor: str, reason: str) -> None:
    """Log a new backup."""
    _log.info("backup_created", name=name, bytes=bytes, actor=actor, reason=reason)


def backup_checked(
    *, kind: str, name: str, passed: bool, seconds: float, failures: str, actor: str
) -> None:
    """Log the verdict of a verification or a rehearsal; a failure as an error."""
    say = _log.info if passed else _log.error
    say(
        "backup_checked",
        kind=kind,
        name=name,
        passed=passed,
        seconds=seconds,
        failures=failures,
        actor=actor,
    )


def backup_restored(*, name: str, database: str, seconds: float, actor: str, reason: str) -> None:
    """Log a restore into a new database; never sampled."""
    _log.warning(
        "backup_restored", name=name, database=database, seconds=seconds, actor=actor, reason=reason
    )


def backups_pruned(*, names: list[str], actor: str, reason: str) -> None:
    """Log which backups were removed."""
    _log.info("backups_pruned", names=names, actor=actor, reason=reason)


def seal_changed(*, target: str, action: str, version: int, actor: str, reason: str) -> None:
    """Log one step of sealing or unsealing a target; never sampled."""
    _log.warning(
        "seal_changed", target=target, action=action, version=version, actor=actor, reason=reason
    )


def guard_switched(*, target: str, on: bool, actor: str, reason: str) -> None:
    """Log that a target's guard was switched on or off; never sampled."""
    _log.warning("guard_switched", target=target, on=on, actor=actor, reason=reason)


def table_lock_missed(*, target: str, attempt: int) -> None:
    """Log a missed table lock: the lock wait is short so that writers go first; it is retried."""
    _log.info("table_lock_missed", target=target, attempt=attempt)


def webhook_taken(
    *, authenticator: str, id: str, result: str, alerts: list[str], remote: str
) -> None:
    """Log an authenticated webhook delivery and its result; never sampled."""
    _log.warning(
        "webhook_taken",
        authenticator=authenticator,
        id=id,
        result=result,
        alerts=alerts,
        remote=remote,
    )


def webhook_uneventful(*, authenticator: str, result: str, why: str, deliveries: int) -> None:
    """Log how many recent deliveries were rejected, repeated or unreadable."""
    _log.warning(
        "webhook_uneventful",
        authenticator=authenticator,
        result=result,
        why=why,
        deliveries=deliveries,
    )


def notification_forwarded(*, id: str, status: int, attempts: int, alerts: list[str]) -> None:
    """Log a notification forwarded by the relay, with the receiver's last status; never sampled."""
    say = _log.info if status < 300 else _log.error
    say("notification_forwarded", id=id, status=status, attempts=attempts, alerts=alerts)


def receiver_away(*, id: str, error: str) -> None:
    """Log that the relay could not reach the receiver; it retries while time remains."""
    _log.warning("receiver_away", id=id, error=error)


def relay_failed(*, error: str) -> None:
    """Log a failure of the relay itself in one connection."""
    _log.error("relay_failed", error=error)


def metrics_lost(*, file: str, error: str) -> None:
    """Log that the counts of an ended process could not be read completely."""
    _log.warning("metrics_lost", file=file, error=error)


def gauges_failed(*, part: str, error: str) -> None:
    """Log that a part of a scrape could not be read; the other parts are reported."""
    _log.warning("gauges_failed", part=part, error=error)


def worker_metrics_not_served(*, host: str, port: int, error: str) -> None:
    """Log that a worker cannot serve its metrics because the port is taken; it works anyway."""
    _log.error("worker_metrics_not_served", host=host, port=port, error=error)


def run_held(*, run: int, reason: str, text: str) -> None:
    """Log that a run waits for the database to recover."""
    _log.warning("run_held", run=run, reason=reason, text=text)


def run_released(*, run: int, reason: str) -> None:
    """Log that a throttled run continues."""
    _log.info("run_released", run=run, reason=reason)


def run_throttle_changed(
    *, run: int, limits: dict[str, float | None], actor: str, reason: str
) -> None:
    """Log that someone changed a run's throttle limits."""
    _log.info("run_throttle_changed", run=run, limits=limits, actor=actor, reason=reason)


def throttle_look_failed(*, run: int, error: str) -> None:
    """Log that the database's health could not be read; the run continues."""
    _log.warning("throttle_look_failed", run=run, error=error)


# Adaptive sampling of frequent log events, such that what was kept tells how many there were.
#
# All are kept while they are few; beyond that one in so many, by chance. Each kept line carries the
# rate at which lines of its kind were kept at that moment, so that the sum of 1 / rate estimates
# the true number without bias.

FEW = 10  # a minute
_MINUTE = 60.0  # seconds


class Sampler:
    """Decides which events of a kind to keep; `clock` returns seconds, `chance` is in [0, 1)."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._minute, self._seen = -1, 0

    def rate(self, rate: float) -> float | None:
        """Return the rate at which this event is kept (1 or `rate`); None if it is dropped."""
        minute = int(self._clock() // _MINUTE)
        with self._lock:
            if minute != self._minute:
                self._minute, self._seen = minute, 0
            self._seen += 1
            few = self._seen <= FEW
        if few:
            return 1.0
        return rate if self._chance() < rate else None

    def renew(self) -> None:
        """Reset in a forked child, where a thread of the parent may have held the lock."""
        self._lock, self._seen = threading.Lock(), 0
