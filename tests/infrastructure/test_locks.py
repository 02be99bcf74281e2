"""Advisory locks: one list, and nobody waits for a lock that protects something else."""

from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from stageapp.backups import disposable, postgres
from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models.normalization import State
from stageapp.normalization import worker
from tests.normalization.conftest import engine, fill, started, transactional_db  # noqa: F401
from tests.normalization.evidence import log_of
from tests.normalization.processes import wait_for

# ruff: noqa: F811  fixtures are used under the names they are imported by

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = [PROJECT / "stageapp", PROJECT / "config", PROJECT / "templates"]


def test_nothing_else_takes_an_advisory_lock():
    files = [PROJECT / "manage.py", *(path for folder in FOLDERS for path in folder.rglob("*"))]
    uses = {
        str(path.relative_to(PROJECT))
        for path in files
        if path.is_file() and path.suffix != ".pyc" and b"advisory" in path.read_bytes().lower()
    }
    assert uses == {"stageapp/infrastructure/locks.py"}, (
        "Take a lock by its name, with stageapp/infrastructure/locks.py."
    )


def test_every_lock_has_a_number_of_its_own_and_says_what_it_protects():
    assert len({lock.number for lock in Lock}) == len(Lock)
    assert all(lock.protects.endswith(".") for lock in Lock)


def test_every_lock_is_documented():
    text = (PROJECT / "docs" / "reliability.md").read_text(encoding="utf-8")
    missing = [lock.name for lock in Lock if f"| {lock.number} | {lock.protects} |" not in text]
    assert not missing, f"Add a line for each of these to docs/reliability.md: {missing}"


@pytest.mark.parametrize("holder", Lock)
def test_a_lock_keeps_out_only_those_who_want_the_same(holder, transactional_db):
    with postgres.connect(postgres.live()) as session:
        assert locks.attempt_in(session, holder, 1)
        free = {lock: _is_free(lock, 1) for lock in Lock}
        assert free == {lock: lock != holder for lock in Lock}
        assert _is_free(holder, 2)
        assert locks.held(holder) == [1]
    wait_for(lambda: not locks.held(holder), what="the end of the session")
    with locks.attempt(holder, 1) as free_again:
        assert free_again


def _is_free(lock, of):
    with locks.attempt(lock, of) as free:
        return free


def test_a_lock_of_a_text_keeps_out_those_of_the_same_text(transactional_db):
    with postgres.connect(postgres.live()) as session:
        assert locks.attempt_in(session, Lock.DELIVERY, "a webhook's id")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            locks.wait(Lock.DELIVERY, "another's")
            with pytest.raises(OperationalError, match="lock timeout"), transaction.atomic():
                locks.wait(Lock.DELIVERY, "a webhook's id")


def test_run_number_1_does_not_wait_for_a_rehearsal_or_a_trial(started):
    """Both restore into a disposable database, and hold its lock on the live server all the
    while.
    """
    run = started("Seed ", "series-a", "seed")
    assert run.pk == 1
    with disposable.database(postgres.live()), connection.cursor() as cursor:
        assert len(locks.held(Lock.DISPOSABLE)) == 1
        cursor.execute("SET lock_timeout = '2s'")
        assert worker.advance(run).state == State.DONE
        cursor.execute("RESET lock_timeout")
    assert len(log_of(run)) == 2
