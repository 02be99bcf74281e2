"""A clone works wherever it stands and whoever runs it: deep paths, private homes, root or not."""

import json
import os
import pwd
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import environ
import kombu
import psycopg
import pytest

from stageapp import embedded
from tests.embedded.conftest import (
    PROJECT,
    as_ordinary_user,
    as_root,
    as_root_with_an_open_environment,
    ask,
    discard,
    postgres_at,
    redis_client,
)

ORDINARY = next(user.pw_uid for user in pwd.getpwall() if user.pw_name not in ("root", "nobody"))
NAMELESS = 3_999_999_999  # has no entry in /etc/passwd, as `docker run --user` may have it
DEEP = Path(*["a folder with a läng'thy name"] * 6)


def proof(root: str) -> dict[str, Any]:
    """Start the servers, use them through the real clients, stop them, and tell what was seen."""
    services = embedded.provide(Path(root), durable=False)
    assert services is not None
    django = environ.FileAwareEnv().db("DATABASE_URL")
    with psycopg.connect(
        host=django["HOST"],
        port=django["PORT"],
        user=django["USER"],
        password=django["PASSWORD"],
        dbname=django["NAME"],
    ) as connection:
        data = connection.execute("SELECT current_setting('data_directory')").fetchone()[0]
    with redis_client(os.environ["REDIS_URL"]) as client:
        pong = client.ping()
    with kombu.Connection(embedded.broker_url(os.environ["REDIS_URL"])) as broker:
        broker.ensure_connection(max_retries=1, timeout=5)
    states = {server.state for server in embedded.status(Path(root))}
    return {
        "uid": os.geteuid(),
        "root": str(services.root),
        "data": data,
        "pong": pong,
        "states": list(states),
        "started": list(services.started),
        "stopped": embedded.stop(Path(root)),
    }


def as_user(uid: int, function: Callable[..., dict[str, Any]], *arguments: str) -> dict[str, Any]:
    """Call the function in a child that has become another user.

    A fork, as root's Python itself may stand in a home which that user cannot read.
    """
    receive, send = os.pipe()
    if (child := os.fork()) == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            outcome = function(*arguments)
        except BaseException:
            outcome = {"error": traceback.format_exc()}
        os.write(send, json.dumps(outcome).encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as file:
        outcome = json.loads(file.read())
    os.waitpid(child, 0)
    assert "error" not in outcome, outcome["error"]
    return outcome


@pytest.fixture
def private_home(bare) -> Iterator[Path]:
    """Return a home (mode 0700) with a clone's `stageapp` in it, at a path longer than a socket's
    may be.
    """
    home = Path(tempfile.mkdtemp(prefix="home-"))
    shutil.copytree(
        PROJECT / "stageapp", home / DEEP / "stageapp", ignore=shutil.ignore_patterns("__pycache__")
    )
    bare.setattr(embedded, "PROJECT", home / DEEP)
    yield home
    discard(home / DEEP / ".local")
    shutil.rmtree(home)


def check(seen: dict[str, Any], home: Path, uid: int) -> None:
    assert seen["root"] == str(home / DEEP / ".local")
    assert len(seen["root"]) > 107
    assert (seen["uid"], seen["pong"], seen["states"]) == (uid, True, ["running"])
    assert seen["started"] == seen["stopped"] == ["postgres18", "redis"]


@as_root_with_an_open_environment
def test_an_ordinary_user_keeps_everything_under_a_private_home(private_home):
    for path in (private_home, *private_home.rglob("*")):
        os.chown(path, ORDINARY, ORDINARY)
    seen = as_user(ORDINARY, proof, str(private_home / DEEP / ".local"))
    check(seen, private_home, ORDINARY)
    assert seen["data"] == str(private_home / DEEP / ".local" / "postgres18")
    assert {path.lstat().st_uid for path in private_home.rglob("*")} == {ORDINARY}


@as_root_with_an_open_environment
def test_root_is_told_that_the_servers_belong_to_another_user(private_home):
    root = private_home / DEEP / ".local"
    for path in (private_home, *private_home.rglob("*")):
        os.chown(path, ORDINARY, ORDINARY)
    as_user(ORDINARY, proof, str(root))
    with pytest.raises(embedded.EmbeddedError, match=f"owner {ORDINARY}.*work as that user"):
        embedded.provide(root)


@as_root
def test_a_user_without_a_name_is_told_what_postgres_misses(private_home):
    for path in (private_home, *private_home.rglob("*")):
        os.chown(path, NAMELESS, NAMELESS)
    refusal = as_user(NAMELESS, refused, str(private_home / DEEP / ".local"))
    assert f"no name for user id {NAMELESS}: add one, or set DATABASE_URL" in refusal["message"]


def refused(root: str) -> dict[str, Any]:
    with pytest.raises(embedded.EmbeddedError) as caught:
        embedded.provide(Path(root))
    return {"message": str(caught.value)}


CLONE = """
import json
from stageapp import embedded
services = embedded.provide(durable=False)
print(json.dumps({"root": str(services.root), "data": services.database_url, "stopped": embedded.stop()}))
"""


def test_a_clone_starts_its_own_servers_by_default(private_home, start_python):
    clone = private_home / DEEP
    variables = {"PATH": os.defpath, "HOME": str(private_home), "PYTHONPATH": str(clone)}
    child = start_python(CLONE, env=variables, cwd=clone)
    output, errors = child.communicate(timeout=90)
    assert child.returncode == 0, errors
    seen = json.loads(output)
    assert seen["root"] == str(clone / ".local")
    assert seen["stopped"] == ["postgres18", "redis"]


@as_root
def test_root_works_from_a_private_home_that_the_servers_user_cannot_reach(private_home):
    seen = proof(str(private_home / DEEP / ".local"))
    check(seen, private_home, 0)
    assert not Path(seen["data"]).is_relative_to(private_home)


@as_ordinary_user
def test_we_work_from_a_private_home(private_home):
    seen = proof(str(private_home / DEEP / ".local"))
    check(seen, private_home, os.geteuid())
    assert seen["data"] == str(private_home / DEEP / ".local" / "postgres18")


@pytest.mark.parametrize("name", ['quote"s and $HOME', "Séries-Ω", "a,b;c#d%20"])
def test_any_name_of_a_folder_will_do(bare, tmp_path, name):
    root = tmp_path / name / ".local"
    try:
        assert embedded.provide(root, durable=False) is not None
        assert ask(postgres_at(root), "SELECT 1") == 1
        assert embedded.stop(root) == ["postgres18", "redis"]
    finally:
        discard(root)
