"""A PostgreSQL for one task leaves no process and no file, also where its user was killed."""

import os
import signal
import subprocess

import pytest

from stageapp import embedded
from stageapp.embedded import postgres
from stageapp.embedded.location import find
from stageapp.embedded.postgres import Postgres
from tests.embedded.conftest import connect

HOLD = """
import sys
from pathlib import Path
from stageapp.embedded.postgres import throw_away
with throw_away(Path(sys.argv[1]), 18) as url:
    print(url, flush=True)
    input()
"""


def left_in(root):
    return [path.name for path in root.iterdir() if path.name != "lock"]


@pytest.mark.parametrize("version", embedded.POSTGRES_VERSIONS)
def test_it_answers_and_is_gone_afterwards(root, version):
    with postgres.throw_away(root, version) as url:
        location = find(root)
        server = Postgres(location, version)
        assert url == server.url
        with connect(server) as session:
            assert session.info.server_version // 10_000 == version
        assert server.main_pid() is not None
    assert server.main_pid() is None
    assert not server.data.exists()
    assert not location.sockets.exists()
    assert left_in(root) == []


def test_it_is_gone_after_a_failure(root):
    with pytest.raises(ZeroDivisionError), postgres.throw_away(root, 18):
        raise ZeroDivisionError
    assert left_in(root) == []


def test_what_a_killed_process_left_running_is_removed_by_the_next(root, start_python):
    process = start_python(HOLD, str(root), stdin=subprocess.PIPE)
    assert process.stdout.readline().startswith("postgres://")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    server = Postgres(find(root), 18)
    assert server.main_pid() is not None
    with postgres.throw_away(root, 18):
        assert server.main_pid() is None
        assert not server.data.exists()
    assert left_in(root) == []
