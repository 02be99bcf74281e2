"""Structured log: one function per event, a closed set of names, JSON lines on stderr."""

import structlog

_log = structlog.get_logger("stageapp")


def mode_changed(*, mode: str, percent: int, epoch: int, version: int, kind: str, actor: str, reason: str) -> None:
    """Record an authorised change of mode; never sampled."""
    _log.info(
        "mode_changed",
        mode=mode, percent=percent, epoch=epoch, version=version, kind=kind, actor=actor, reason=reason,
    )  # fmt: skip


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


def run_moved(*, run: int, old: str, new: str, actor: str, reason: str) -> None:
    """Record a change of a run's state."""
    _log.info("run_moved", run=run, old=old, new=new, actor=actor, reason=reason)


def batch_retried(*, run: int, error: str, attempt: int, batch_rows: int) -> None:
    """Record that a batch transaction failed, was rolled back, and is tried again."""
    _log.warning("batch_retried", run=run, error=error, attempt=attempt, batch_rows=batch_rows)


def validator_failed(*, endpoint: str, error: str) -> None:
    """Record an exception inside the validator; the caller gets a 5xx problem without detail."""
    _log.error("validator_failed", endpoint=endpoint, error=error)


def drift_found(*, target: str, known_rows: int, unknown_rows: int, values: int) -> None:
    """Record that rows of a normalized column hold something else than a stage again."""
    _log.warning("drift_found", target=target, known_rows=known_rows, unknown_rows=unknown_rows, values=values)


def drift_watch_failed(*, target: str, error: str) -> None:
    """Record that the drift watch could not read a target; it is looked at again the next time."""
    _log.error("drift_watch_failed", target=target, error=error)
