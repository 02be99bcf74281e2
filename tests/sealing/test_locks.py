"""Sealing a busy table: writers go first, nobody waits for long, and what cannot be had is left
as it was.
"""

import time
from contextlib import contextmanager

import pytest
from django.db import IntegrityError, connection, transaction

from stageapp.models import Seal
from stageapp.sealing import guard, seal, state
from stageapp.targets import lock_wait
from stageapp.targets.errors import SealRefused
from stageapp.targets.lock_wait import LockWait
from tests.normalization.evidence import LABEL, ME, sql
from tests.normalization.processes import wait_for
from tests.sealing.conftest import TABLE, constraints, validated

IMPATIENT = LockWait(attempts=3, read_seconds=0.0)


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(lock_wait, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(lock_wait, "_FIRST_REST_SECONDS", 0.02)


@contextmanager
def held_by_another(statement):
    """Hold, in another session, the locks of a statement until the block ends."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(statement)
        yield other
    finally:
        other.rollback()
        other.close()


READER = f"SELECT count(*) FROM {TABLE}"
WRITER = f"UPDATE {TABLE} SET sector = 'x'"


@pytest.mark.parametrize(
    "act, statement",
    [
        ("seal", READER),
        ("seal", WRITER),
        ("unseal", READER),
        ("guard off", READER),
        ("guard on", WRITER),
    ],
)
def test_behind_a_long_transaction_it_gives_up_and_leaves_nothing(
    fill, short_waits, statement, act
):
    fill("seed")
    if act == "unseal":
        seal.seal(LABEL, **ME)
    if act == "guard off":
        guard.switch_on(LABEL, **ME)
    before = (constraints(), Seal.objects.count(), guard.look(LABEL).state)
    acts = {
        "seal": seal.seal,
        "unseal": seal.unseal,
        "guard on": guard.switch_on,
        "guard off": guard.switch_off,
    }
    with held_by_another(statement) as other:
        pid = other.connection.info.backend_pid
        with pytest.raises(
            SealRefused, match=rf"locked at each of 3 attempts, 0\.1 s each.*pid {pid} \("
        ):
            acts[act](LABEL, how=IMPATIENT, **ME)
    assert (constraints(), Seal.objects.count(), guard.look(LABEL).state) == before
    acts[act](LABEL, **ME)


def test_writers_pass_while_it_waits(fill, elsewhere, monkeypatch):
    (key,) = fill("seed")
    monkeypatch.setattr(lock_wait, "LOCK_SECONDS", 0.4)
    refused = []

    def try_to_seal():
        with pytest.raises(SealRefused) as refusal:
            seal.seal(LABEL, how=LockWait(attempts=5, read_seconds=0.0), **ME)
        refused.append(str(refusal.value))

    waits = []
    with held_by_another(READER):  # for as long as all attempts last
        thread = elsewhere(try_to_seal)
        while thread.is_alive():
            if waiting():  # whoever writes now stands behind the attempt in the queue
                began = time.monotonic()
                sql(f"UPDATE {TABLE} SET sector = 'x' WHERE id = %s", key)
                waits.append(time.monotonic() - began)
    # Nobody else let go: each write went through because an attempt had given up.
    assert refused
    assert waits
    print(f"{len(waits)} writes behind attempts of 0.4 s; the longest took {max(waits):.3f} s")


def waiting():
    return sql("SELECT 1 FROM pg_locks WHERE relation = %s::regclass AND NOT granted", TABLE)


def test_it_seals_once_the_long_transaction_is_over(fill, elsewhere, short_waits):
    fill("seed")
    with held_by_another(READER):
        thread = elsewhere(lambda: seal.seal(LABEL, **ME))
        wait_for(waiting, what="the wait for the lock")
        assert state.look(LABEL).state == "open"
    thread.join(20)
    assert state.look(LABEL).state == "sealed"


def test_if_old_rows_cannot_be_checked_the_new_constraint_goes_again(
    fill, short_waits, monkeypatch
):
    fill("seed")
    validate = seal._validate

    def beside_an_index_build(who, begun, how):
        with held_by_another(f"LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE") as other:
            monkeypatch.setattr(seal, "_abandon", after(other))
            validate(who, begun, how)

    abandon = seal._abandon

    def after(other):
        def go(*args):
            other.rollback()
            abandon(*args)

        return go

    monkeypatch.setattr(seal, "_validate", beside_an_index_build)
    with pytest.raises(SealRefused, match="locked at each of 3 attempts"):
        seal.seal(LABEL, how=IMPATIENT, **ME)
    assert (constraints(), state.look(LABEL).state) == ([], "open")
    assert list(Seal.objects.order_by("id").values_list("action", flat=True)) == [
        "begun",
        "abandoned",
    ]


def test_if_even_that_cannot_be_had_it_says_what_stands(fill, short_waits, monkeypatch):
    fill("seed")
    validate = seal._validate

    def beside_an_index_build(who, begun, how):
        with held_by_another(f"LOCK TABLE {TABLE} IN SHARE UPDATE EXCLUSIVE MODE"):
            validate(who, begun, how)

    monkeypatch.setattr(seal, "_validate", beside_an_index_build)
    with pytest.raises(
        SealRefused, match=r"could not be removed: it still applies to new writes\. Continue with"
    ):
        seal.seal(LABEL, how=IMPATIENT, **ME)
    assert (state.look(LABEL).state, validated()) == ("half", [False])
    monkeypatch.setattr(seal, "_validate", validate)
    assert seal.seal(LABEL, **ME).state == "sealed"


def test_checking_old_rows_stops_no_writer(fill, elsewhere, monkeypatch):
    (key,) = fill("seed")
    execute, written = seal._execute, []

    def beside_a_writer(statement):
        execute(statement)
        if "VALIDATE" in statement:  # its lock is held until this transaction ends
            thread = elsewhere(
                lambda: written.append(sql(f"UPDATE {TABLE} SET stage = 'growth' WHERE id = {key}"))
            )
            thread.join(10)
            assert written

    monkeypatch.setattr(seal, "_execute", beside_a_writer)
    assert seal.seal(LABEL, **ME).state == "sealed"
    assert written


def test_two_people_at_once(fill, elsewhere, monkeypatch):
    fill("seed")
    begin, refused = seal._begin, []

    def second(*args):
        def other():
            for act in (seal.seal, seal.unseal):
                with pytest.raises(SealRefused, match="Somebody else is sealing") as refusal:
                    act(LABEL, **ME)
                refused.append(refusal)

        elsewhere(other).join(10)
        return begin(*args)

    monkeypatch.setattr(seal, "_begin", second)
    assert seal.seal(LABEL, **ME).state == "sealed"
    assert len(refused) == 2
    assert seal.unseal(LABEL, **ME).state == "open"  # the first has let go


def test_a_role_that_does_not_own_the_table_is_told_so(fill, stranger):
    fill("seed")
    role = stranger.info.user
    sql(
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT ALL ON ALL SEQUENCES IN "
        f"SCHEMA public TO {role}"
    )
    sql(f"SET ROLE {role}")
    try:
        with pytest.raises(
            SealRefused, match=r"must be owner of table .*The table's owner has to do it"
        ):
            seal.seal(LABEL, **ME)
    finally:
        sql("RESET ROLE")
    assert (constraints(), Seal.objects.count()) == ([], 0)


def test_a_table_too_large_for_a_browser_is_refused_in_time(fill, monkeypatch):
    fill("seed")
    execute = seal._execute
    slow = {"VALIDATE": "SELECT pg_sleep(30)"}
    monkeypatch.setattr(
        seal,
        "_execute",
        lambda text: execute(next((slow[word] for word in slow if word in text), text)),
    )
    with pytest.raises(SealRefused, match=r"longer than 0\.3 s; nothing was changed"):
        seal.seal(LABEL, how=LockWait(attempts=2, read_seconds=0.3), **ME)
    assert constraints() == []
    with transaction.atomic():
        sql(f"UPDATE {TABLE} SET stage = 'Seed'")


def test_another_constraint_of_the_table_is_let_alone(fill):
    fill("seed")
    sql(f"ALTER TABLE {TABLE} ADD CONSTRAINT own CHECK (stage <> 'x')")
    try:
        seal.seal(LABEL, **ME)
        seal.unseal(LABEL, **ME)
        with pytest.raises(IntegrityError, match="own"), transaction.atomic():
            sql(f"UPDATE {TABLE} SET stage = 'x'")
    finally:
        sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT own")
