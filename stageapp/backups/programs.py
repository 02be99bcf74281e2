"""Run pg_dump and pg_restore: of the server's own major version where we have it, with a clean environment."""

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from config import embedded
from config.embedded.programs import POSTGRES_FOLDERS
from stageapp import conf
from stageapp.backups import libpq
from stageapp.backups.errors import BackupError

_SHOWN = 2000  # characters of what a program printed
_POLL_SECONDS = 0.5


def path_of(program: str, server_version: int) -> str:
    """Return a program that can talk to a server of this version (as `server_version_num`, e.g. 180004).

    An archive restores best with the programs of its own major version: newer ones set options that an older
    server does not know.

    Raises:
        BackupError: there is none; the text names the setting.
    """
    if folder := conf.postgres_programs():
        found = Path(folder) / program
    else:
        fitting = [major for major in sorted(POSTGRES_FOLDERS) if major >= server_version // 10_000]
        if not fitting:
            raise BackupError(
                f"The server is PostgreSQL {server_version // 10_000}, newer than the programs that come along. "
                "Set STAGE_POSTGRES_PROGRAMS to the folder of its pg_dump and pg_restore."
            )
        found = embedded.client_programs(fitting[0]) / program
    if not os.access(found, os.X_OK):
        raise BackupError(f"{found} is no program. Set STAGE_POSTGRES_PROGRAMS to the folder of {program}.")
    return str(found)


@contextmanager
def running(
    command: Sequence[str], server: libpq.Parameters, *, keep: Sequence[int] = (), **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program while the block does its part, then wait for its end; kill it if the block fails.

    `keep` are file handles that the program inherits.

    Raises:
        BackupError: with the end of what it printed, when it fails.
    """
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(  # noqa: S603  a list of words: no shell ever reads them
            list(command), env={"PATH": os.defpath, "LC_ALL": "C"} | libpq.environment(server),
            stdin=subprocess.DEVNULL, stderr=printed, pass_fds=tuple(keep), **options,
        )  # fmt: skip
        with process:
            try:
                yield process
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise BackupError(f"{Path(command[0]).name} failed ({process.returncode}): {_tail(printed)}")


def run(
    command: Sequence[str],
    server: libpq.Parameters,
    *,
    keep: Sequence[int] = (),
    tick: Callable[[], None] | None = None,
) -> None:
    """Run a program to its end and throw away its output; call `tick` now and then meanwhile.

    Raises:
        BackupError: with the end of what it printed, when it fails.
    """
    with running(command, server, keep=keep, stdout=subprocess.DEVNULL) as process:
        while tick is not None and not _ended(process):
            tick()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_POLL_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _tail(printed: IO[bytes]) -> str:
    printed.seek(0, os.SEEK_END)
    printed.seek(max(0, printed.tell() - _SHOWN))
    return printed.read().decode(errors="replace").strip()
