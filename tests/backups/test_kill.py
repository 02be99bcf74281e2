"""create and rehearse are killed at random points: nothing half-made counts, and the next call
clears it away.
"""

import json
import os
import random
import signal
import time

import pytest

from stageapp.backups import create, folder, verify
from tests.backups.databases import rehearsal_databases
from tests.backups.test_create import fill_with_noise
from tests.normalization.evidence import sql
from tests.normalization.processes import MANAGE, begin, wait_for


@pytest.fixture
def noise(backups):
    """Make both long enough to be killed in the middle."""
    fill_with_noise()
    sql("INSERT INTO noise SELECT t || t FROM noise")
    yield
    sql("DROP TABLE noise")


def killed_in_the_middle(chance, begun, backups, *command):
    """Start a command, wait until it has begun, kill it -9 a random moment later; tell whether
    that was in time.
    """
    process = begin(
        *MANAGE, "backup", *command, STAGE_BACKUP_DIR=str(backups), STAGE_BACKUP_KEY="k" * 32
    )
    wait_for(lambda: begun() or process.poll() is not None, 60, "the beginning")
    time.sleep(chance.random() * 0.8)
    in_time = process.poll() is None
    # Only the command itself: pg_dump or pg_restore are left to themselves, as when the system
    # kills one process.
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return in_time


def killed_again_and_again(backups, kills):
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    good, in_time = create.create().name, {"create": 0, "rehearse": 0}
    for _ in range(kills):
        in_time["create"] += killed_in_the_middle(
            chance, lambda: _making(backups), backups, "create"
        )
        assert all(verify.verify(name).passed for name in folder.names()), (
            "a half-made backup counts"
        )
        in_time["rehearse"] += killed_in_the_middle(
            chance, rehearsal_databases, backups, "rehearse", good
        )
    print(f"seed {seed}: of {kills} kills each, in the middle: {in_time}")
    assert min(in_time.values()) >= kills / 2, "the kills came too late"
    made, rehearsed = manage("create", backups), manage("rehearse", backups)
    assert rehearsed["name"] == made["name"]
    assert rehearsed["passed"]
    assert not _making(backups)
    wait_for(lambda: not _programs(), 20, "the end of pg_dump and pg_restore")
    assert rehearsal_databases() == []


def manage(verb, backups):
    process = begin(
        *MANAGE, "backup", verb, "--json", STAGE_BACKUP_DIR=str(backups), STAGE_BACKUP_KEY="k" * 32
    )
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return json.loads(out)


def _making(backups):
    return [name for name in os.listdir(backups) if name.startswith(".unfinished")]


def _programs():
    return sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name IN ('pg_dump', 'pg_restore') "
        "AND (datname = current_database() OR datname LIKE 'stage_rehearsal_%%' AND datname = "
        "ANY(%s))",
        rehearsal_databases(),
    )


def test_create_and_rehearse_killed_at_random_points(noise, backups):
    killed_again_and_again(backups, kills=2)


@pytest.mark.full
def test_create_and_rehearse_killed_at_fifty_random_points(noise, backups):
    killed_again_and_again(backups, kills=50)
