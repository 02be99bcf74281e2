"""A call that seals is killed -9 between its steps; the state says so, and the next call goes
on.
"""

import os
import signal

import pytest
from django.db import IntegrityError, transaction

from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock
from stageapp.models import Seal
from stageapp.sealing import seal, state
from tests.normalization.evidence import LABEL, ME, database_url, sql
from tests.normalization.processes import wait_for
from tests.processes import process
from tests.sealing.conftest import TABLE, constraints, validated

# Seals, but says so and waits before the step that is named.
SEAL_AND_WAIT = """
from stageapp.sealing import seal

def wait(*args):
    say(at="{step}")
    time.sleep(600)

seal.{step} = wait
seal.seal("{label}", actor="tester", reason="the first attempt")
"""


@pytest.fixture
def killed_before(engine):
    """Return a function that starts to seal, and kills the process before a step."""

    def kill(step):
        code = SEAL_AND_WAIT.format(step=step, label=LABEL)
        with process(
            code, DATABASE_URL=database_url(), STAGE_EMBEDDED="1", STAGE_REFRESHER="0"
        ) as sealing:
            assert sealing.hear() == {"at": step}
            os.kill(sealing.popen.pid, signal.SIGKILL)
            assert sealing.popen.wait(10) == -signal.SIGKILL
        wait_for(
            lambda: not locks.held(Lock.SEAL),
            what="the end of the dead session",
        )

    return kill


def write(value):
    with transaction.atomic():
        sql(f"UPDATE {TABLE} SET stage = %s", value)


def test_killed_before_old_rows_are_checked(fill, killed_before):
    fill("seed")
    killed_before("_validate")
    now = state.look(LABEL)
    assert (now.state, validated(), now.begun.reason) == ("half", [False], "the first attempt")
    with pytest.raises(IntegrityError):
        write("Seed")
    went_on = seal.seal(LABEL, **ME)
    assert (went_on.state, validated()) == ("sealed", [True])
    assert went_on.seal.constraint_name == now.begun.constraint_name
    assert list(Seal.objects.order_by("id").values_list("action", "reason")) == [
        ("begun", "the first attempt"),
        ("sealed", "test"),
    ]


def test_killed_before_it_is_recorded(fill, killed_before):
    fill("seed")
    killed_before("_finish")
    assert (state.look(LABEL).state, validated()) == ("half", [True])
    assert seal.seal(LABEL, **ME).state == "sealed"


def test_killed_while_one_seal_replaces_another(sealed, new_stage, killed_before):
    sealed()
    new_stage("bridge")
    killed_before("_finish")
    now = state.look(LABEL)
    assert (now.state, validated()) == ("replacing", [True, True])
    with pytest.raises(IntegrityError):
        write("bridge")  # both hold
    assert seal.seal(LABEL, **ME).state == "sealed"
    write("bridge")
    assert len(constraints()) == 1


def test_what_was_begun_for_another_list_is_replaced(fill, killed_before):
    fill("seed", "seed")
    killed_before("_validate")
    assert seal.seal(LABEL, allow=["???"], **ME).state == "sealed"
    write("???")
    assert validated() == [True]


def test_what_was_begun_can_be_taken_off(fill, killed_before):
    fill("seed")
    killed_before("_validate")
    assert seal.unseal(LABEL, **ME).state == "open"
    assert constraints() == []
    write("Seed")
