"""The table that runs are measured on: one template database, of which each measurement gets a
fresh copy.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from stageapp.embedded.postgres import DEFAULT_VERSION, throw_away

SERVER = {"shared_buffers": "1GB", "max_wal_size": "4GB", "autovacuum": "off"}
SHOWN = (
    "server_version",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "autovacuum",
    "work_mem",
    "jit",
)
TABLE = "stageapp_portfoliocompany"
CANONICAL = (
    "pre_seed",
    "seed",
    "series_a",
    "series_b",
    "series_c",
    "series_d",
    "series_e_plus",
    "growth",
)
_WORDS = ("Pre Seed", "Seed", "Series A", "Series B", "Series C", "Series D", "Series E+", "Growth")
MAP = tuple(
    (spelling, stage)
    for stage, words in zip(CANONICAL, _WORDS, strict=True)
    for spelling in (words, words.upper(), f"{words.lower()} ", f"  {words}")
)

_FILL = f"""
INSERT INTO {TABLE} (fund_id, name, stage, sector, updated_at)
SELECT (SELECT min(id) FROM stageapp_fund) + n %% 20, 'company ' || n,
       CASE WHEN random() < 0.6 THEN (%s::text[])[1 + floor(random() * %s)] ELSE (%s::text[])[1 + floor(random() * %s)]
       END, 'sector ' || n %% 40, now()
  FROM generate_series(1, %s) AS n
"""


class Server:
    """A throw-away PostgreSQL with a template and, one at a time, a copy of it named `measured`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket, self._password = (
            parts.path.rpartition("/")[0].removeprefix("/"),
            parts.password or "",
        )
        self._url = url.rpartition("/")[0]

    @property
    def url(self) -> str:
        """Return the URL of the copy, in django-environ's form."""
        return f"{self._url}/measured"

    def connect(self, database: str = "measured") -> psycopg.Connection[Any]:
        """Return a connection that commits each statement."""
        return psycopg.connect(
            host=self._socket,
            port=5432,
            user="postgres",
            password=self._password,
            dbname=database,
            autocommit=True,
        )

    def execute(
        self, statement: str, parameters: Sequence[Any] = (), database: str = "measured"
    ) -> list[Any]:
        """Run one statement on a connection of its own; return its rows, if it has any."""
        with self.connect(database) as connection:
            found = connection.execute(statement, parameters or None)
            return found.fetchall() if found.description else []

    def timed(self, statement: str, parameters: Sequence[Any] = ()) -> float:
        """Return the seconds that one statement takes."""
        with self.connect() as connection:
            began = time.perf_counter()
            connection.execute(statement, parameters or None)
            return time.perf_counter() - began

    def settings(self) -> dict[str, str]:
        """Return the settings that matter here."""
        return {name: self.execute(f"SHOW {name}", database="postgres")[0][0] for name in SHOWN}

    def create(self) -> str:
        """Make an empty database named `measured`, to be filled and kept as the template; return
        its URL.
        """
        self._drop()
        self.execute("CREATE DATABASE measured OWNER stage", database="postgres")
        return self.url

    def keep(self) -> None:
        """Make the database `measured` the template of later copies."""
        self.execute("DROP DATABASE IF EXISTS template_of_rows WITH (FORCE)", database="postgres")
        self.execute("ALTER DATABASE measured RENAME TO template_of_rows", database="postgres")

    def copy(self) -> None:
        """Make a fresh copy of the template, file by file (PostgreSQL checkpoints for it), and
        read it once.
        """
        self._drop()
        self.execute(
            "CREATE DATABASE measured OWNER stage TEMPLATE template_of_rows STRATEGY file_copy",
            database="postgres",
        )
        self.execute(f"SELECT count(stage) FROM {TABLE}")
        self.settle(vacuum=False)

    def settle(self, *, vacuum: bool = True) -> None:
        """Put the server at rest between two measurements on one copy."""
        if vacuum:
            self.execute(f"VACUUM {TABLE}")
        self.execute("CHECKPOINT")

    def _drop(self) -> None:
        self.execute("DROP DATABASE IF EXISTS measured WITH (FORCE)", database="postgres")


@contextmanager
def server(root: Path) -> Iterator[Server]:
    """Start the server; nothing of it stays."""
    with throw_away(root, DEFAULT_VERSION, durable=True, settings=SERVER) as url:
        yield Server(url)


def fill(of: Server, rows: int) -> None:
    """Give the migrated table so many rows, 60 % of them in one of 32 spellings and the others
    canonical.
    """
    with of.connect() as connection:
        connection.execute("SELECT setseed(0.5)")
        connection.execute(
            "INSERT INTO stageapp_fund (name) SELECT 'fund ' || n FROM generate_series(1, 20) AS n"
        )
        spellings = [spelling for spelling, _ in MAP]
        connection.execute(
            _FILL, [spellings, len(spellings), list(CANONICAL), len(CANONICAL), rows]
        )
        connection.execute(f"CREATE INDEX company_stage ON {TABLE} (stage)")
        connection.execute(f"VACUUM ANALYZE {TABLE}")
