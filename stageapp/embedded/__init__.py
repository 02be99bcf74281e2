"""Embedded PostgreSQL and Redis, started if DATABASE_URL or REDIS_URL is not set.

Entry points call `provide()` before Django loads its settings; importing the settings starts
nothing.
"""

import os
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import environ

from stageapp.embedded import postgres, programs
from stageapp.embedded.location import EmbeddedError, Location, find, locked, prepare
from stageapp.embedded.postgres import DEFAULT_VERSION, Postgres
from stageapp.embedded.redis import EmbeddedRedis, broker_url
from stageapp.embedded.server import Server

__all__ = [
    "POSTGRES_VERSIONS",
    "EmbeddedError",
    "ServerStatus",
    "Services",
    "broker_url",
    "client_programs",
    "provide",
    "provided",
    "status",
    "stop",
    "throw_away",
]

PROJECT = Path(__file__).resolve().parents[2]
DEFAULT_ROOT = PROJECT / ".local"
POSTGRES_VERSIONS = tuple(sorted(programs.POSTGRES_FOLDERS))
_provided: "Services | None" = None
_HANGS = (
    "The embedded Redis hangs; continuing without it, with PostgreSQL only. `manage.py "
    "services stop` stops it, and the next command starts it again.\n"
)


@dataclass(frozen=True)
class Services:
    """The result of `provide`; a URL is None if the environment names the user's own server."""

    root: Path
    database_url: str | None
    redis_url: str | None
    started: tuple[str, ...]


@dataclass(frozen=True)
class ServerStatus:
    """An embedded server's status; `state` is `running`, `not answering` or `stopped`."""

    name: str
    state: str
    pid: int | None
    data: str
    socket: str
    log: str


def provide(
    root: Path | None = None,
    *,
    durable: bool = True,
    postgres_version: int | None = None,
    needs_redis: bool = True,
) -> Services | None:
    """Ensure servers for the unset URLs, and set them for this process and its children.

    STAGE_EMBEDDED=1 then marks the database as embedded. `durable=False` is for tests. Without
    `needs_redis`, a hanging Redis is skipped with a warning, as PostgreSQL is the truth. Returns
    None when both URLs are set.

    Raises:
        EmbeddedError: DEBUG is off and a URL is unset, or a server does not start.
    """
    global _provided
    # The settings read it too: it may name servers of the user's own.
    if (PROJECT / ".env").is_file():
        environ.Env.read_env(str(PROJECT / ".env"))
    # NAME, or for NAME_FILE (which the settings read) its path; what matters is that one is set.
    missing = [
        name
        for name in ("DATABASE_URL", "REDIS_URL")
        if not (os.environ.get(name, "") or os.environ.get(f"{name}_FILE", ""))
    ]
    if not missing:
        return None
    # The settings' own rule: DEBUG is on by itself only as long as the database is an embedded one.
    embedded = "DATABASE_URL" in missing or os.environ.get("STAGE_EMBEDDED") == "1"
    if not environ.FileAwareEnv().bool("DEBUG", default=embedded):
        raise EmbeddedError(
            f"Set {' and '.join(missing)}: DEBUG is off, and the embedded servers are for "
            "development only (DEBUG=1 allows them)."
        )
    version = postgres_version or _postgres_version()
    root = (root or DEFAULT_ROOT).resolve()
    try:
        with locked(root):
            _provided = _ensure(prepare(root), missing, version, durable, needs_redis)
            return _provided
    except OSError as error:
        raise EmbeddedError(
            f"The embedded servers under {root} cannot be started: {error}. Fix it, or "
            f"set {' and '.join(missing)} to your own servers."
        ) from error


def provided() -> Services | None:
    """Return the result of this process's last `provide`; None if nothing was needed."""
    return _provided


def status(root: Path | None = None) -> list[ServerStatus]:
    """Return the state of every embedded server ever started under root, without side effects."""
    statuses = []
    for server in _known_servers((root or DEFAULT_ROOT).resolve()):
        pid = server.main_pid()
        state = "stopped" if pid is None else "running" if server.answers() else "not answering"
        places = map(str, (server.data, server.socket, server.log))
        statuses.append(ServerStatus(server.name, state, pid, *places))
    return statuses


def stop(root: Path | None = None) -> list[str]:
    """Stop the embedded servers under root and return the names of those that were running.

    Raises:
        EmbeddedError: another process holds the lock for too long.
    """
    root = (root or DEFAULT_ROOT).resolve()
    if find(root) is None:
        return []
    with locked(root):
        return [server.name for server in _known_servers(root) if server.end()]


def client_programs(postgres_version: int | None = None) -> Path:
    """Return the folder of PostgreSQL's client programs: pg_dump, pg_restore, psql, pgbench, ….

    Raises:
        EmbeddedError: the wheel that contains them is not installed.
    """
    return programs.postgres_programs(postgres_version or _postgres_version())


def throw_away(version: int) -> AbstractContextManager[str]:
    """Start an empty PostgreSQL of a major version for one task, yield its URL, and remove it."""
    return postgres.throw_away((DEFAULT_ROOT / "rehearsal").resolve(), version)


def _ensure(
    location: Location, missing: list[str], version: int, durable: bool, needs_redis: bool
) -> Services:
    database_url = redis_url = None
    started: list[str] = []
    if "DATABASE_URL" in missing:
        postgres = Postgres(location, version, durable=durable)
        started += [postgres.name] if postgres.ensure() else []
        database_url = os.environ["DATABASE_URL"] = postgres.url
        os.environ["STAGE_EMBEDDED"] = "1"
    if "REDIS_URL" in missing:
        redis = EmbeddedRedis(location)
        if not needs_redis and redis.hangs():
            sys.stderr.write(_HANGS)
        else:
            started += [redis.name] if redis.ensure() else []
        redis_url = os.environ["REDIS_URL"] = redis.url
    return Services(location.root, database_url, redis_url, tuple(started))


def _known_servers(root: Path) -> list[Server]:
    location = find(root)
    if location is None:
        return []
    servers: list[Server] = [Postgres(location, version) for version in programs.POSTGRES_FOLDERS]
    return [server for server in [*servers, EmbeddedRedis(location)] if server.data.exists()]


def _postgres_version() -> int:
    asked = os.environ.get("STAGE_EMBEDDED_POSTGRES", "") or str(DEFAULT_VERSION)
    if asked not in map(str, programs.POSTGRES_FOLDERS):
        raise EmbeddedError(
            f"STAGE_EMBEDDED_POSTGRES is {asked!r}: set it to 16 or 18, or unset it."
        )
    return int(asked)
