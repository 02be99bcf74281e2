"""Give each test roots of its own, with real servers, and leave nothing behind."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from redis import Redis

from stageapp import embedded
from stageapp.embedded import location
from stageapp.embedded.postgres import PORT, Postgres
from stageapp.embedded.redis import EmbeddedRedis

VARIABLES = ["DATABASE_URL", "REDIS_URL", "STAGE_EMBEDDED", "STAGE_EMBEDDED_POSTGRES", "DEBUG"]
PROJECT = Path(__file__).resolve().parents[2]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs servers as another user")
# The child that becomes another user has to read the programs of this environment.
as_root_with_an_open_environment = pytest.mark.skipif(
    os.geteuid() != 0
    or any(folder.stat().st_mode & 0o005 != 0o005 for folder in Path(psycopg.__file__).parents),
    reason="only root runs servers as another user, who must be able to read this environment "
    "(chmod 755)",
)
as_ordinary_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")


def discard(root: Path) -> None:
    """Stop the servers of a root and remove what they keep outside of it."""
    embedded.stop(root)
    found = location.find(root)
    if found is not None:
        home = Postgres(found).home
        if home != root:
            shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(found.sockets, ignore_errors=True)


def postgres_at(root: Path, version: int = 18) -> Postgres:
    found = location.find(root)
    assert found is not None
    return Postgres(found, version, durable=False)


def redis_at(root: Path) -> EmbeddedRedis:
    found = location.find(root)
    assert found is not None
    return EmbeddedRedis(found)


def connect(postgres: Postgres, user: str = "stage", database: str = "stage") -> psycopg.Connection:
    return psycopg.connect(
        host=str(postgres.socket.parent),
        port=PORT,
        user=user,
        password=postgres.location.password,
        dbname=database,
        autocommit=True,
    )


def ask(postgres: Postgres, statement: str) -> object:
    with connect(postgres) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


def keep_a_seven(root: Path) -> None:
    with connect(postgres_at(root)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")


def redis_client(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Take away what the session's own servers have set, and any .env file."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)
    monkeypatch.setattr(embedded, "PROJECT", tmp_path)
    return monkeypatch


@pytest.fixture
def root(bare: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Name a root that does not exist yet."""
    folder = tmp_path / "root"
    yield folder
    discard(folder)


@pytest.fixture
def running(root: Path) -> Path:
    """Return a root whose two servers run."""
    embedded.provide(root, durable=False)
    return root


@pytest.fixture
def start_python(bare: pytest.MonkeyPatch) -> Callable[..., "subprocess.Popen[str]"]:
    """Start Python code in a process of its own, with this project on its path."""

    def start(code: str, *arguments: object, **options: object) -> "subprocess.Popen[str]":
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        options = {"env": environment, "cwd": "/"} | options
        return subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start
