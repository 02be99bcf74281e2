"""The embedded PostgreSQL: socket only, SCRAM, and run as another user when we are root."""

import fcntl
import os
import pwd
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import psycopg

from stageapp.embedded import programs
from stageapp.embedded.location import (
    EmbeddedError,
    Location,
    find,
    locked,
    own_folder,
    prepare,
    write_private,
)
from stageapp.embedded.server import STOP_LIMIT, Server, kill, working_in

DEFAULT_VERSION = 18
PORT = 5432  # names the socket; nothing listens on TCP
SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
# For tests only: a crash of the machine may lose everything, and every commit is faster.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
# What an operator would grant: CREATEDB for test databases and rehearsals, pg_monitor for the
# throttle.
FIRST_STATEMENTS = """\
CREATE ROLE stage LOGIN CREATEDB PASSWORD '{password}';
GRANT pg_monitor TO stage;
CREATE DATABASE stage OWNER stage;
"""


class Postgres(Server):
    """A PostgreSQL server of one major version, with the role and the database `stage`."""

    program = "postgres"
    pid_file = "postmaster.pid"
    stop_signal = signal.SIGINT  # "fast": disconnects the clients, loses nothing

    def __init__(
        self,
        location: Location,
        version: int = DEFAULT_VERSION,
        *,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(location)
        self.version = version
        self.durable = durable
        self.settings = SETTINGS | ({} if durable else FORGETFUL) | dict(settings or {})
        self.name = f"postgres{version}"
        self.socket = location.sockets / self.name / f".s.PGSQL.{PORT}"

    @cached_property
    def account(self) -> pwd.struct_passwd | None:
        """The user `nobody` if we are root (PostgreSQL refuses to run as root), else None."""
        user = os.geteuid()
        try:
            if user == 0:
                return pwd.getpwnam("nobody")
            pwd.getpwuid(user)  # initdb refuses a user without a name
            return None
        except KeyError as error:
            wanted = (
                "no user `nobody` to run PostgreSQL as"
                if user == 0
                else f"no name for user id {user}"
            )
            raise EmbeddedError(
                f"/etc/passwd has {wanted}: add one, or set DATABASE_URL to your own server."
            ) from error

    @cached_property
    def home(self) -> Path:
        """The parent folder of the data: the root, or a system folder for another user."""
        return self.location.root if self.account is None else shared_folder() / self.location.key

    @property
    def data(self) -> Path:  # type: ignore[override]
        return self.home / self.name

    @property
    def url(self) -> str:
        """The URL in django-environ's form, with the socket's folder in the path."""
        return f"postgres://stage:{self.location.password}@:{PORT}/{self.socket.parent}/stage"

    def answers(self) -> bool:
        """Whether our server answers: only the one in this private folder knows our password."""
        try:
            psycopg.connect(
                host=str(self.socket.parent),
                port=PORT,
                user="stage",
                password=self.location.password,
                dbname="stage",
                connect_timeout=2,
                require_auth="scram-sha-256",
            ).close()
        except psycopg.OperationalError:
            return False
        return True

    def prepare(self) -> None:
        """Build the data directory under a temporary name and rename it once it is complete."""
        # The pid in it may be another program's by now, and then PostgreSQL would refuse to start.
        (self.data / self.pid_file).unlink(missing_ok=True)
        if self.data.exists():
            return
        owner = self.account.pw_uid if self.account else -1
        self.open_home()
        new, password = self.home / f"{self.name}.new", self.home / f"{self.name}.password"
        # An interrupted start's initdb may still be writing there.
        kill(working_in(new, ["initdb", self.program]), STOP_LIMIT)
        shutil.rmtree(new, ignore_errors=True)
        own_folder(new, owner=None if owner == -1 else owner)
        write_private(password, self.location.password, owner)
        try:
            self._initialise(new, password)
        finally:
            password.unlink()
        new.rename(self.data)

    def open_home(self) -> None:
        """Let the server's account, where it has one of its own, reach its data."""
        if self.account is not None:
            own_folder(self.home, 0o711)
            (self.location.root / f"{self.name}.location").write_text(f"{self.data}\n")

    def command(self) -> list[str]:
        """Return the command line, with the settings, so that a new release's apply to old data."""
        options = [
            word for name, value in self.settings.items() for word in ("-c", f"{name}={value}")
        ]
        return [
            self._program("postgres"),
            "-D",
            str(self.data),
            "-k",
            str(self.socket.parent),
            *options,
        ]

    def _initialise(self, new: Path, password: Path) -> None:
        self.run(
            [
                self._program("initdb"),
                "-D",
                str(new),
                "--username=postgres",
                f"--pwfile={password}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                *([] if self.durable else ["--no-sync"]),
            ],
            cwd=new,
        )
        # Single-user mode: no half-made server is ever reachable.
        self.run(
            [
                self._program("postgres"),
                "--single",
                "-D",
                str(new),
                "-c",
                "exit_on_error=on",
                "postgres",
            ],
            cwd=new,
            input=FIRST_STATEMENTS.format(password=self.location.password),
        )

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    @cached_property
    def _programs(self) -> Path:
        if self.account is None:
            return programs.postgres_programs(self.version)
        with (shared_folder() / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # other roots copy to the same place
            return programs.copy_postgres_programs(self.version, shared_folder())


def shared_folder() -> Path:
    """Return a root-owned folder that every user can reach, unlike a private home."""
    parents = [Path("/var/lib").resolve(), Path("/var/tmp").resolve()]  # noqa: S108  own_folder checks whose it is
    parent = next((parent for parent in parents if os.access(parent, os.W_OK)), parents[-1])
    return own_folder(parent / "stage-normalization", 0o755)


# A PostgreSQL for one task: in its own folder, stopped and removed even after a crash.


@contextmanager
def throw_away(
    root: Path, version: int, *, durable: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start an empty PostgreSQL, yield its URL in django-environ's form, and remove it.

    `settings` are added to those of every embedded server; `durable` waits for the disk.

    Leftovers of a killed process in the same root are stopped and removed first. The root's lock
    is held throughout, so only one runs at a time.

    Raises:
        EmbeddedError: it does not start, or another process held the root for too long.
    """
    try:
        with locked(root):
            _remove(root)
            postgres = Postgres(prepare(root), version, durable=durable, settings=settings)
            try:
                postgres.ensure()
                yield postgres.url
            finally:
                _remove(root)
    except OSError as error:
        raise EmbeddedError(
            f"A throwaway PostgreSQL cannot be started under {root}: {error}."
        ) from error


def _remove(root: Path) -> None:
    location = find(root)
    if location is None:
        return
    for version in (16, 18):
        postgres = Postgres(location, version)
        if postgres.data.exists():
            postgres.end()
            shutil.rmtree(postgres.data)
        if postgres.account is not None:  # then its home is a folder outside of the root
            shutil.rmtree(postgres.home, ignore_errors=True)
    shutil.rmtree(location.sockets, ignore_errors=True)
    for entry in root.iterdir():
        if entry.name != "lock":  # others wait for it
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
