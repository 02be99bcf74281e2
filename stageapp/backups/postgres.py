"""Connection parameters for libpq and PostgreSQL's programs, never on a command line."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import environ
import psycopg
from django.db import connection
from psycopg import pq

from stageapp import conf, embedded
from stageapp.backups.errors import BackupError
from stageapp.embedded.programs import POSTGRES_FOLDERS

Parameters = dict[str, str]

_NAMES = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password", "NAME": "dbname"}
_OPTIONS = {option.keyword.decode(): option for option in pq.Conninfo.get_defaults()}
# A dump or a restore may take longer than any limit that was set for requests.
_NO_LIMITS = (
    "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET lock_timeout = 0"
)


@contextmanager
def plain_errors(what_holds: str) -> Iterator[None]:
    """Tell of a server that does not answer, or refuses, as a BackupError that ends with what
    holds now.
    """
    try:
        yield
    except psycopg.Error as error:
        raise BackupError(
            f"PostgreSQL does not answer, or refused: {error}. {what_holds}"
        ) from None


def live() -> Parameters:
    """Return the connection parameters of the live database."""
    return of_settings(connection.settings_dict)


def of_settings(settings: Mapping[str, Any]) -> Parameters:
    """Convert an entry of DATABASES to libpq parameters; Django's own options are left out."""
    given = {word: settings.get(name) for name, word in _NAMES.items()}
    options = {
        word: value for word, value in settings.get("OPTIONS", {}).items() if word in _OPTIONS
    }
    return {
        word: str(value) for word, value in (given | options).items() if value not in (None, "")
    }


def of_url(url: str) -> Parameters:
    """Convert a URL to libpq parameters; libpq would send an invalid one to a default server.

    Raises:
        BackupError: it is not the URL of a PostgreSQL database.
    """
    try:
        if not url.startswith(("postgres://", "postgresql://")):
            raise ValueError("it does not begin with postgres://")
        settings = environ.Env.db_url_config(url)
        if not settings["NAME"]:
            raise ValueError("it does not end with the name of a database")
    except ValueError as error:
        raise BackupError(f"This is not a PostgreSQL database URL: {error}.") from None
    return of_settings(settings)


def environment(parameters: Parameters) -> dict[str, str]:
    """Return the parameters as environment variables (PGHOST, PGPASSWORD, …) for the programs."""
    named = {word: option.envvar for word, option in _OPTIONS.items() if option.envvar}
    return {named[word].decode(): value for word, value in parameters.items() if word in named}


def connect(parameters: Parameters) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a separate session in autocommit mode and without timeouts.

    Raises:
        psycopg.OperationalError: the server does not answer, or rejects the connection.
    """
    try:
        session = psycopg.connect(autocommit=True, **parameters)  # type: ignore[arg-type]
    except KeyboardInterrupt as interrupt:
        # Its traceback keeps the half-open session, which the server waits for up to a minute
        # before a database can be dropped. Without it the session is closed here.
        raise interrupt.with_traceback(None) from None
    session.execute(_NO_LIMITS)
    return session


# Run pg_dump and pg_restore: of the server's own major version where we have it, with a clean
# environment.

_SHOWN = 2000  # characters of what a program printed
_POLL_SECONDS = 0.5


def path_of(program: str, server_version: int) -> str:
    """Return the path of a program for this server version (`server_version_num`, e.g. 180004).

    An archive restores best with the programs of its own major version: newer ones set options
    that an older server does not know.

    Raises:
        BackupError: there is no such program; the text names the setting.
    """
    if folder := conf.settings.postgres_programs:
        file = Path(folder) / program
    else:
        fitting = [major for major in sorted(POSTGRES_FOLDERS) if major >= server_version // 10_000]
        if not fitting:
            raise BackupError(
                f"The server is PostgreSQL {server_version // 10000}, newer than the "
                "bundled programs. Set STAGE_POSTGRES_PROGRAMS to the folder of its "
                "pg_dump and pg_restore."
            )
        file = embedded.client_programs(fitting[0]) / program
    if not os.access(file, os.X_OK):
        raise BackupError(
            f"{file} is not an executable program. Set STAGE_POSTGRES_PROGRAMS to the "
            f"folder of {program}."
        )
    return str(file)


@contextmanager
def running(
    command: Sequence[str], server: Parameters, *, keep: Sequence[int] = (), **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program alongside the block, then wait for it to end; kill it if the block fails.

    `keep` are file descriptors that the program inherits.

    Raises:
        BackupError: the program failed; the text has the end of its output.
    """
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(  # noqa: S603  a list of words: no shell ever reads them
            list(command),
            env={"PATH": os.defpath, "LC_ALL": "C"} | environment(server),
            stdin=subprocess.DEVNULL,
            stderr=printed,
            pass_fds=tuple(keep),
            **options,
        )
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            printed.seek(0, os.SEEK_END)
            printed.seek(max(0, printed.tell() - _SHOWN))
            end = printed.read().decode(errors="replace").strip()
            raise BackupError(f"{Path(command[0]).name} failed ({process.returncode}): {end}")


def run(
    command: Sequence[str],
    server: Parameters,
    *,
    keep: Sequence[int] = (),
    tick: Callable[[], None] | None = None,
) -> None:
    """Run a program to its end and discard its output, calling `tick` now and then.

    Raises:
        BackupError: the program failed; the text has the end of its output.
    """
    with running(command, server, keep=keep, stdout=subprocess.DEVNULL) as process:
        while tick is not None:
            try:
                process.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                tick()
