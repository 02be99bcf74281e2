"""A worker's state in a run: its shard, its batch size, and its retries after a fault."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TypeVar

from django.db import DatabaseError, connection
from psycopg.errors import QueryCanceled

from stageapp import conf
from stageapp.audit import log, rollbacks
from stageapp.infrastructure import events, metrics
from stageapp.infrastructure.watchdog import Watchdog
from stageapp.models.batches import Direction
from stageapp.models.normalization import RollbackPlan, Run, State
from stageapp.normalization import batches, leases, refusals, runs, verify
from stageapp.normalization import plan as plans
from stageapp.normalization.batches import (
    CAP_SECONDS,
    LARGEST,
    LARGEST_SWEEP,
    LAST_CAP_SECONDS,
    LeaseLost,
    Limits,
    Pace,
    Result,
)
from stageapp.normalization.leases import Lease, name
from stageapp.normalization.statements import Change
from stageapp.normalization.throttle import WAIT_SECONDS, Throttle
from stageapp.targets import columns, targets
from stageapp.targets.errors import IllegalMove, NormalizationError, RunBusy

MAX_ATTEMPTS = 8
FIRST_WAIT_SECONDS = 0.2  # doubled with each attempt: the last one comes after 25 s
# an attempt's statements end by themselves before; only a session that is stopped does not
HUNG_SECONDS = 20.0
LOOK_SECONDS = 1.0  # so often a worker looks whether a person wants something else
KEPT_TRIED = 100  # rows at once that a trigger may have kept as they are
KEPT = "the table's own trigger kept its old value"  # what is said of one that did

_T = TypeVar("_T")
Report = Callable[[Result], None]


@dataclass
class Work:
    """A run as one worker processes it. Target and map are read once, because a plan is frozen."""

    run: Run
    report: Report
    whole: bool = False  # everything in one transaction: no smaller batch, no second attempt
    lease: Lease | None = None
    batches: int = 0
    _looked_at: float = 0.0
    _rollback: RollbackPlan | None = None
    _narrowed: int = 0  # the batch size while a poison row is looked for
    _paces: dict[bool, Pace] = field(default_factory=dict)

    @cached_property
    def target(self) -> targets.Target:
        """The run's target.

        Raises:
            TargetError: it cannot be resolved, or its table changed so that a batch would mix up
                rows.
        """
        target = targets.resolve(self.run.target)
        columns.require_plain(target)
        return target

    @cached_property
    def changes(self) -> list[Change]:
        """The plan's map."""
        return plans.changes(self.run.plan)

    @cached_property
    def throttle(self) -> Throttle:
        return Throttle(self.run)

    @property
    def rollback(self) -> RollbackPlan:
        """The rollback plan, which cannot be replaced while one of its shards is leased."""
        if self.lease is None or self._rollback is None:
            self._rollback = rollbacks.newest(self.run)
        return self._rollback

    @property
    def pace(self) -> Pace:
        """The pace of the current pass; a sweep reads many rows and changes few."""
        sweeping = bool(self.lease and self.lease.sweep)
        if sweeping not in self._paces:
            self._paces[sweeping] = Pace(
                self._batch_seconds, largest=LARGEST_SWEEP if sweeping else LARGEST
            )
        pace = self._paces[sweeping]
        pace.target_seconds = self._batch_seconds
        return pace

    @property
    def _batch_seconds(self) -> float:
        return self.run.batch_seconds or conf.settings.batch_seconds

    def rest(self) -> None:
        """Pause between batches; renew the lease meanwhile, and return if the state changes."""
        began, state = time.monotonic(), self.run.state

        def left() -> float:  # somebody may tune the pause while it lasts
            pause = self.run.pause_seconds
            seconds = conf.settings.batch_pause_seconds if pause is None else pause
            return began + seconds - time.monotonic()

        while left() > LOOK_SECONDS:
            time.sleep(LOOK_SECONDS)
            self.look()
            if self.run.state != state:
                return
            if self.lease and not self._still_held(self.lease):
                self.let_go()
                return
        time.sleep(max(0.0, left()))

    def look(self) -> None:
        """Reload the run from the database."""
        self._attempt(self.run.refresh_from_db)
        self._looked_at = time.monotonic()

    def look_again(self) -> None:
        """Reload the run, unless a shard is leased and the last check is recent (batches check)."""
        if self.lease is None or time.monotonic() - self._looked_at >= LOOK_SECONDS:
            self.look()

    def take(self, direction: Direction, *, round: int = 0) -> bool:
        """Keep the leased shard or lease a new one; return False if none is available."""
        if self.lease is None:
            self.lease = self._attempt(lambda: leases.take(self.run, direction, round=round))
        return self.lease is not None

    def take_next(self) -> bool:
        """Hold a shard of what the run's state asks for; False if there is none to be had."""
        if self.run.state == State.ROLLING_BACK:
            return self.take(Direction.ROLLBACK, round=self.rollback.round)
        return self.take(Direction.FORWARD)

    def hold_back(self) -> bool:
        """Wait a moment if the database is not well, keeping the shard; return whether it was so.

        Raises:
            LeaseLost: another worker has taken the shard meanwhile.
        """
        hold = self.throttle.look()
        if hold is None or not self.take_next():
            return False
        began = time.monotonic()
        self.keep()
        time.sleep(WAIT_SECONDS)
        self.throttle.waited(hold, time.monotonic() - began)
        return True

    def keep(self) -> None:
        """Renew the lease of the shard in hand while nothing is written.

        Raises:
            LeaseLost: it was away for so long that another worker has taken it.
        """
        assert self.lease is not None
        if not self._still_held(self.lease):
            raise LeaseLost

    def _still_held(self, lease: Lease) -> bool:
        return self._attempt(lambda: leases.renew(lease))

    def let_go(self) -> None:
        """Release the current shard."""
        lease, self.lease = self.lease, None
        if lease is not None:
            with suppress(DatabaseError):  # without a connection the lease ends by itself
                leases.release(lease)

    def forward(self) -> None:
        """Commit the next batch of the shard in hand, and let the shard go at its end.

        Raises:
            TooManyQuarantined: a rejected row is one too many; something else than rows is wrong.
        """
        lease = self.lease
        assert lease is not None

        def write(limits: Limits) -> Result:
            # Rows that an earlier pass has put into quarantine are not tried again.
            apart = verify.set_apart(self.run) if lease.sweep else []
            return batches.forward(lease, self.target, self.changes, limits, apart)

        def skip_row(error: str) -> Result:
            result = batches.skip_row(lease, self.target, error)
            events.row_quarantined(run=self.run.pk, shard=lease.shard, error=error)
            refusals.require_few(*runs.quarantine_share(self.run, Direction.FORWARD, 0), error)
            return result

        if self.batch(write, skip_row).cursor.finished:
            self.let_go()

    def undo(self) -> None:
        """Undo the next batch of the shard in hand, and let the shard go at its end.

        Raises:
            TooManyQuarantined: a rejected row would be one too many; the rollback goes on from it.
        """
        lease, plan = self.lease, self.rollback
        assert lease is not None
        again = plan.round > 1

        def write(limits: Limits) -> Result:
            return batches.rollback(lease, self.target, plan.scope, limits, again=again)

        def skip_row(error: str) -> Result:
            apart, looked_at = runs.quarantine_share(self.run, Direction.ROLLBACK, plan.round)
            refusals.require_few(apart + 1, looked_at + 1, error)
            result = batches.skip_undoing(lease, self.target, plan.scope, error, again=again)
            events.row_quarantined(run=self.run.pk, shard=lease.shard, error=error)
            return result

        if self.batch(write, skip_row).cursor.finished:
            self.let_go()

    def batch(
        self, write: Callable[[Limits], Result], skip_row: Callable[[str], Result] | None = None
    ) -> Result:
        """Commit and report one batch, and adapt the batch size; skip a row that always fails."""
        size = self._narrowed or self.pace.size

        def attempt() -> Result:
            if self.whole:
                return write(Limits(2**31 - 1, cap_seconds=0))
            rows = self._narrowed or self.pace.size
            return write(Limits(rows, CAP_SECONDS if rows > 1 else LAST_CAP_SECONDS))

        try:
            result = self._attempt(attempt)
        except DatabaseError as error:
            result = self._after_refusal(error, size, skip_row)
        else:
            if self._narrowed:
                self._narrowed = 2 * self._narrowed if 2 * self._narrowed < self.pace.size else 0
            else:
                self.pace.after(result.seconds, result.scanned)
            if self.lease:
                back = self.run.state == State.ROLLING_BACK
                metrics.batch_committed(
                    direction="rollback" if back else "forward", seconds=result.seconds
                )
        self.batches += 1
        self.report(result)
        return result

    def set_kept_rows_apart(self) -> int:
        """Quarantine rows whose planned spelling a trigger preserves; return their number.

        Raises:
            NormalizationError: the run is a single transaction, which has no quarantine.
            TooManyQuarantined: there are too many of them.
        """
        new = {(change.source, change.old): change.new for change in self.changes}
        left = verify.first_left(self.run, self.target, limit=KEPT_TRIED)
        rows = [(key, held, new[source, held]) for key, source, held in left]
        return self._set_apart(rows, Direction.FORWARD, 0)

    def set_kept_undone_rows_apart(self) -> int:
        """Quarantine rows that a rollback passed and a trigger kept as the run wrote them."""
        if not rollbacks.counts(self.run, self.rollback)["skipped"]:
            return 0
        refused = self.run.quarantine.filter(direction=Direction.ROLLBACK)
        left = log.left_behind(
            self.run,
            self.target,
            limit=KEPT_TRIED,
            as_written=True,
            besides=list(refused.values_list("row_key", flat=True)),
        )
        rows = [(entry.row_key, entry.new, entry.old) for entry in left]
        return self._set_apart(rows, Direction.ROLLBACK, self.rollback.round)

    def _set_apart(self, rows: list[tuple[str, str, str]], direction: Direction, round: int) -> int:
        refused_rows = 0
        for key, held, wanted in rows:
            write = partial(batches.keeps_its_value, self.target, key, held, wanted)
            try:
                if not self._attempt(write):
                    continue
            except DatabaseError as error:
                if refusals.may_pass(error):
                    raise
                continue  # it is refused, which a batch has seen or will see
            if self.whole:
                raise NormalizationError(f"Nothing was kept. Row {key} holds {held!a}: {KEPT}.")
            apart, looked_at = runs.quarantine_share(self.run, direction, round)
            refusals.require_few(apart + 1, looked_at, KEPT)
            if batches.set_apart(self.run, self.target, direction, round, (key, held), KEPT):
                events.row_quarantined(run=self.run.pk, shard=0, error=KEPT)
                refused_rows += 1
        return refused_rows

    def _after_refusal(
        self, error: DatabaseError, size: int, skip_row: Callable[[str], Result] | None
    ) -> Result:
        """Halve the batch until the rejected row is alone, then skip it."""
        canceled = isinstance(error.__cause__, QueryCanceled)
        if self.whole or skip_row is None or not (canceled or refusals.may_be_of_a_row(error)):
            raise error
        if not canceled:
            # Raise if a batch of no row is refused too, as for want of a privilege.
            try:
                self._attempt(lambda: batches.try_no_row(self.run.pk, self.target))
            except DatabaseError as other:
                passing = refusals.may_pass(other)
                raise (other if passing else error) from (other if passing else error).__cause__
        if size > 1:
            if not self._narrowed and canceled and not refusals.is_raised(error):
                self.pace.after_timeout()
            self._narrowed = size // 2
            return Result(batches.Cursor())
        self._narrowed = 1
        return skip_row(str(error).strip())

    def _attempt(self, attempt: Callable[[], _T]) -> _T:
        """Call until it succeeds; after a transient fault, wait and retry with a smaller batch.

        Raises:
            django.db.DatabaseError: every attempt failed, a statement took too long, or the fault
                is not transient.
        """
        for number in range(1, 1 if self.whole else MAX_ATTEMPTS):
            session = connection.connection
            try:
                # Each for itself: the waits between them are no hang.
                with self._watchdog.watching("attempt"):
                    return attempt()
            except DatabaseError as error:
                if not refusals.may_pass(error):
                    raise
                metrics.batch_retried()
                events.batch_retried(
                    run=self.run.pk, error=str(error), attempt=number, batch_rows=self.pace.size
                )
                _drop_dead_connection()
                if (
                    connection.connection is session
                ):  # a database that was away does not mean a batch too large
                    self.pace.after_fault()
                time.sleep(FIRST_WAIT_SECONDS * 2 ** (number - 1))
        with self._watchdog.watching("attempt"):
            return attempt()

    @cached_property
    def _watchdog(self) -> Watchdog:
        return Watchdog("stage-worker", hung_seconds=HUNG_SECONDS)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let a second thread cut the connection of an attempt that hangs in PostgreSQL."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(1.0):
                self._watchdog.look()

        self._watchdog.watch_this_thread()
        thread = threading.Thread(target=look, name="stage-batch-watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self._watchdog.close()


def give_up(work: Work, error: Exception) -> None:
    """Record the failure; if that fails too, the check for forgotten runs resumes the run."""
    with suppress(DatabaseError, IllegalMove, RunBusy):
        _drop_dead_connection()
        runs.fail(work.run, f"gave up: {error}".strip(), actor=name())


def _drop_dead_connection() -> None:
    session = connection.connection
    if session is None or session.broken or session.closed:
        connection.close()
