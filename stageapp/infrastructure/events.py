"""Structured log: one function per event, a closed set of names, JSON lines on stderr.

Whoever calls `unknown_stages` samples; no other event is ever left out.
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
    """Record an authorised change of mode; never sampled. `enforce_on` is the announced day."""
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
    """Record that Redis or PostgreSQL did not answer the mode's re-read."""
    _log.warning("mode_store_failed", store=store, error=error)


def mode_value_ignored(*, store: str, why: str) -> None:
    """Record that a store held something that is not a mode."""
    _log.warning("mode_value_ignored", store=store, why=why)


def mode_stale(*, age: float, known: str, in_force: str) -> None:
    """Record that neither store has confirmed the mode for too long: `enforce` counts as `warn`."""
    _log.error("mode_stale", age=round(age, 1), known=known, in_force=in_force)


def setting_ignored(*, name: str, value: str, instead: str) -> None:
    """Record that a setting makes no sense, and what counts instead."""
    _log.error("setting_ignored", name=name, value=value, instead=instead)


def refresh_job_failed(*, job: str, error: str) -> None:
    """Record that a periodic job of this process raised; it is tried again at the next tick."""
    _log.error("refresh_job_failed", job=job, error=error)


def vocabulary_changed(*, version: int, actor: str, reason: str) -> None:
    """Record a new vocabulary version."""
    _log.info("vocabulary_changed", version=version, actor=actor, reason=reason)


def assumptions_changed(*, stage: str, version: int, actor: str, reason: str) -> None:
    """Record that simulations and reserves assume something else of a stage."""
    _log.info("assumptions_changed", stage=stage, version=version, actor=actor, reason=reason)


def run_moved(*, run: int, old: str, new: str, actor: str, reason: str) -> None:
    """Record a change of a run's state."""
    _log.info("run_moved", run=run, old=old, new=new, actor=actor, reason=reason)


def batch_retried(*, run: int, error: str, attempt: int, batch_rows: int) -> None:
    """Record that a batch transaction failed, was rolled back, and is tried again."""
    _log.warning("batch_retried", run=run, error=error, attempt=attempt, batch_rows=batch_rows)


def workers_drained(*, draining: bool, actor: str, reason: str) -> None:
    """Record that Celery's workers shall take up no run, or may again."""
    _log.warning("workers_drained", draining=draining, actor=actor, reason=reason)


def row_quarantined(*, run: int, shard: int, error: str) -> None:
    """Record that the database refuses to change one row, which is left as it is and listed."""
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
    """Record a request with unknown stages; 1 / `rate` of them happened. `user_agent` is a keyed
    hash.
    """
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
    """Record an exception inside the validator; the caller gets a 5xx problem without detail."""
    _log.error("validator_failed", endpoint=endpoint, error=error)


def drift_found(*, target: str, known_rows: int, unknown_rows: int, values: int) -> None:
    """Record that rows of a normalized column hold something else than a stage again."""
    _log.warning(
        "drift_found",
        target=target,
        known_rows=known_rows,
        unknown_rows=unknown_rows,
        values=values,
    )


def drift_watch_failed(*, target: str, error: str) -> None:
    """Record that the drift watch could not read a target; it is looked at again the next time."""
    _log.error("drift_watch_failed", target=target, error=error)


def traffic_lost(*, requests: int) -> None:
    """Record that counts were given up because PostgreSQL did not take them for hours."""
    _log.error("traffic_lost", requests=requests)


def traffic_rolled_up(*, windows: int) -> None:
    """Record that windows older than a day have become hours."""
    _log.info("traffic_rolled_up", windows=windows)


def gates_overridden(*, actor: str, mode: str, percent: int, gates: list[str], reason: str) -> None:
    """Record that a person moved forward past gates that do not pass; never sampled."""
    _log.warning(
        "gates_overridden", actor=actor, mode=mode, percent=percent, gates=gates, reason=reason
    )


def trial_ended(
    *, plan: str, backup: str, passed: bool, rows: int, seconds: float, actor: str
) -> None:
    """Record what came of a plan's trial on a copy."""
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
    """Record, loudly, that a run starts without a verified backup or a rehearsed restore."""
    _log.error("run_without_backup", run=run, actor=actor, gates=gates, reason=reason)


def glass_broken(*, actor: str, what: str, reason: str) -> None:
    """Record, loudly, that one person did alone what takes two."""
    _log.error("glass_broken", actor=actor, what=what, reason=reason)


def mode_downgraded(*, actor: str, reason: str) -> None:
    """Record, loudly, that `enforce` was taken back without a person; only one with `rearm`
    raises the mode again.
    """
    _log.error("mode_downgraded", actor=actor, reason=reason)


def step_cancelled(*, percent: int, why: str) -> None:
    """Record that a planned step will not be taken."""
    _log.warning("step_cancelled", percent=percent, why=why)


def consumer_pinned(*, consumer: str, place: str, actor: str, reason: str) -> None:
    """Record that a person put a consumer into the canary, kept it out, or set it free."""
    _log.info("consumer_pinned", consumer=consumer, place=place, actor=actor, reason=reason)


def mode_went_back(*, known: str, stored: str, followed: bool) -> None:
    """Record, loudly, that PostgreSQL stores an older version than it told before; a stricter
    one is not followed.
    """
    advice = "" if followed else "Look at the stored mode, then restart the servers to follow it."
    _log.error("mode_went_back", known=known, stored=stored, followed=followed, advice=advice)


def connection_cut(*, job: str, seconds: float) -> None:
    """Record that PostgreSQL neither answered nor hung up, and that the refresher's connection
    was cut.
    """
    _log.error("connection_cut", job=job, seconds=seconds)


def backup_created(*, name: str, bytes: int, actor: str, reason: str) -> None:
    """Record a new backup."""
    _log.info("backup_created", name=name, bytes=bytes, actor=actor, reason=reason)


def backup_checked(
    *, kind: str, name: str, passed: bool, seconds: float, failures: str, actor: str
) -> None:
    """Record the verdict of a verification or a rehearsal; a bad one loudly."""
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
    """Record a restore into a new database; never sampled."""
    _log.warning(
        "backup_restored", name=name, database=database, seconds=seconds, actor=actor, reason=reason
    )


def backups_pruned(*, names: list[str], actor: str, reason: str) -> None:
    """Record which backups were removed."""
    _log.info("backups_pruned", names=names, actor=actor, reason=reason)


def seal_changed(*, target: str, action: str, version: int, actor: str, reason: str) -> None:
    """Record one step of sealing or unsealing a target; never sampled."""
    _log.warning(
        "seal_changed", target=target, action=action, version=version, actor=actor, reason=reason
    )


def guard_switched(*, target: str, on: bool, actor: str, reason: str) -> None:
    """Record that a target's guard was switched on or off; never sampled."""
    _log.warning("guard_switched", target=target, on=on, actor=actor, reason=reason)


def table_lock_missed(*, target: str, attempt: int) -> None:
    """Record that a table's lock was not to be had in a short time; writers go first, and it is
    tried again.
    """
    _log.info("table_lock_missed", target=target, attempt=attempt)


def webhook_taken(
    *, authenticator: str, id: str, result: str, alerts: list[str], remote: str
) -> None:
    """Record a delivery to the webhook that was believed, and what came of it; never sampled."""
    _log.warning(
        "webhook_taken",
        authenticator=authenticator,
        id=id,
        result=result,
        alerts=alerts,
        remote=remote,
    )


def webhook_uneventful(*, authenticator: str, result: str, why: str, deliveries: int) -> None:
    """Record how many deliveries of the last seconds were not believed, told before, or not
    readable.
    """
    _log.warning(
        "webhook_uneventful",
        authenticator=authenticator,
        result=result,
        why=why,
        deliveries=deliveries,
    )


def notification_forwarded(*, id: str, status: int, attempts: int, alerts: list[str]) -> None:
    """Record that the relay has handed a notification on, and the receiver's last status; never
    sampled.
    """
    say = _log.info if status < 300 else _log.error
    say("notification_forwarded", id=id, status=status, attempts=attempts, alerts=alerts)


def receiver_away(*, id: str, error: str) -> None:
    """Record that the relay did not reach the receiver; it tries again while there is time."""
    _log.warning("receiver_away", id=id, error=error)


def relay_failed(*, error: str) -> None:
    """Record a fault of the relay itself in one connection."""
    _log.error("relay_failed", error=error)


def metrics_lost(*, file: str, error: str) -> None:
    """Record that the counts of a process that has ended could not be read in full."""
    _log.warning("metrics_lost", file=file, error=error)


def gauges_failed(*, part: str, error: str) -> None:
    """Record that a part of a scrape could not be read; the other parts are told."""
    _log.warning("gauges_failed", part=part, error=error)


def worker_metrics_not_served(*, host: str, port: int, error: str) -> None:
    """Record that a worker cannot tell its metrics, as its port is taken; it works all the same."""
    _log.error("worker_metrics_not_served", host=host, port=port, error=error)


def run_held(*, run: int, reason: str, text: str) -> None:
    """Record that a run waits for the database to be well again."""
    _log.warning("run_held", run=run, reason=reason, text=text)


def run_released(*, run: int, reason: str) -> None:
    """Record that a run goes on after it was held."""
    _log.info("run_released", run=run, reason=reason)


def run_throttle_changed(
    *, run: int, limits: dict[str, float | None], actor: str, reason: str
) -> None:
    """Record that a person changed what holds a run."""
    _log.info("run_throttle_changed", run=run, limits=limits, actor=actor, reason=reason)


def throttle_look_failed(*, run: int, error: str) -> None:
    """Record that the database's health could not be read; the run goes on."""
    _log.warning("throttle_look_failed", run=run, error=error)


# Adaptive sampling of frequent log events, such that what was kept tells how many there were.
#
# All are kept while they are few; beyond that one in so many, by chance. Each kept line carries the
# rate at which lines of its kind were kept at that moment, so that the sum of 1 / rate estimates
# the true number without bias.

FEW = 10  # a minute
_MINUTE = 60.0  # seconds


class Sampler:
    """Decides which events of one kind are kept; `clock` tells seconds, `chance` draws from [0,
    1).
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._clock, self._chance = clock, chance
        self._lock = threading.Lock()
        self._minute, self._seen = -1, 0

    def rate(self, rate: float) -> float | None:
        """Return at which rate this event is kept: 1 or `rate`; None if it is not."""
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
        """Begin anew in a forked child, where a thread of the parent may have held the lock."""
        self._lock, self._seen = threading.Lock(), 0
