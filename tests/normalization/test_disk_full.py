"""The disk fills up in the middle of a run: nothing half-done stays, the run says so and goes on
once there is room.
"""

import os
import subprocess
import time

import pytest

from tests.normalization.own_server import (  # noqa: F401  a fixture
    NOT_AS_LOGGED,
    assert_done,
    batches,
    begin_run,
    log,
    server,
)
from tests.normalization.processes import MANAGE, begin, wait_for
from tests.normalization.replication import ask, session

# ruff: noqa: F811  fixtures are used under the names they are imported by

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to mount a small file system"
)
CHECKPOINT = "SELECT sum(changed) FROM stageapp_checkpoint WHERE direction = 'forward'"


@pytest.fixture
def small_disk(server):
    """Return a folder of 12 MB that is a tablespace `small`, where the server's own user may go."""
    folder = server.home / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], check=True)
    try:
        place = folder / "space"
        place.mkdir()
        if server.account:
            os.chown(place, server.account.pw_uid, server.account.pw_gid)
        with session(server, "postgres") as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
            connection.execute("GRANT CREATE ON TABLESPACE small TO stage")
        yield folder
    finally:
        server.end()
        subprocess.run(["umount", str(folder)], check=True)


def fill(folder):
    """Fill the file system to its last byte; return the file to remove."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            return filler


@pytest.mark.full
@pytest.mark.parametrize("table", ["stageapp_portfoliocompany", "stageapp_normalizationlog"])
def test_a_full_disk_takes_the_batch_back_and_the_run_goes_on_later(
    server, small_disk, table, figure
):
    with session(server) as connection:
        connection.execute(f"ALTER TABLE {table} SET TABLESPACE small")
    environment = {
        "DATABASE_URL": server.url,
        "STAGE_BATCH_SECONDS": "0.02",
        "STAGE_BATCH_PAUSE_SECONDS": "0.2",
    }
    plan, worker = begin_run(**environment)
    wait_for(lambda: batches(server) >= 2, 60, "the second batch")
    filler = fill(small_disk)
    began = time.monotonic()
    _, err = worker.communicate(timeout=90)
    figure(f"40 {table}: seconds until the run stopped", round(time.monotonic() - began, 1))
    assert worker.returncode == 1
    assert "No space left on device" in err
    assert "Traceback" not in err
    logged, rows = log(server)
    assert 0 < logged < plan["rows_to_change"]
    assert (rows, ask(server, CHECKPOINT), ask(server, NOT_AS_LOGGED)) == (logged, logged, 0)
    assert ask(server, "SELECT state FROM stageapp_run") == "failed"

    filler.unlink()
    resumed = begin(
        *MANAGE,
        "normalization",
        "run",
        "--plan",
        plan["hash"],
        "--foreground",
        "--json",
        **environment,
    )
    assert_done(server, plan, resumed)
