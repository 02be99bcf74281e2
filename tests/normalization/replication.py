"""A primary and a streaming standby of a test's own: real servers, the standby made by
pg_basebackup.
"""

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from stageapp.embedded.location import own_folder, prepare
from stageapp.embedded.postgres import Postgres


class Standby(Postgres):
    """A PostgreSQL whose data is a base backup of a primary, and which streams from it."""

    def __init__(self, root: Path, primary: Postgres) -> None:
        # The roles come from the primary, so the password is the primary's.
        super().__init__(
            dataclasses.replace(prepare(root), password=primary.location.password),
            primary.version,
            durable=False,
        )
        self.primary = primary

    def prepare(self) -> None:
        if self.data.exists():
            return
        self.open_home()
        own_folder(self.data, owner=self.account.pw_uid if self.account else None)
        source = (
            f"host={self.primary.socket.parent} user=postgres password={self.location.password}"
        )
        command = [
            self._program("pg_basebackup"),
            "-D",
            str(self.data),
            "-d",
            source,
            "-R",
            "--checkpoint=fast",
        ]
        self.run(command, cwd=self.data)


def session(postgres: Postgres, user: str = "stage") -> psycopg.Connection:
    return psycopg.connect(
        host=str(postgres.socket.parent),
        user=user,
        password=postgres.location.password,
        dbname="stage",
        autocommit=True,
    )


def ask(postgres: Postgres, statement: str, user: str = "stage") -> object:
    with session(postgres, user) as connection:
        return connection.execute(statement).fetchone()[0]


def discard(postgres: Postgres) -> None:
    postgres.end()
    for folder in (postgres.data, postgres.home, postgres.location.sockets):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def streaming(root: Path, version: int = 18) -> Iterator[tuple[Postgres, Standby]]:
    """Start a primary and its standby; nothing of them stays."""
    (root / "primary").mkdir()
    (root / "standby").mkdir()
    primary = Postgres(prepare(root / "primary"), version, durable=False)
    try:
        primary.ensure()
        standby = Standby(root / "standby", primary)
        try:
            standby.ensure()
            yield primary, standby
        finally:
            discard(standby)
    finally:
        discard(primary)
