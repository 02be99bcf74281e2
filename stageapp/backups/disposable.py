"""Disposable databases for restores: created empty, marked, and dropped even after a crash.

The mark has two parts: a name with our prefix, and a comment. Both name the owner, so two
installations on one server never drop each other's databases as leftovers.
"""

import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import errors, sql

from stageapp.backups import postgres
from stageapp.backups.contents import Session
from stageapp.backups.errors import BackupBusy, TargetRefused
from stageapp.infrastructure import locks
from stageapp.infrastructure.locks import Lock

_MARK = "disposable: a rehearsal of backups, of "
_NEW_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_COMMENT = (
    "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = "
    "current_database()"
)
_IDENTITY = (
    "SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database "
    "WHERE datname = current_database()"
)
# Whatever a person or an application may have put into a database.
_OBJECTS = """
SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
     + (SELECT count(*) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
     + (SELECT count(*) FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public'))
"""
_LOCALE = """
SELECT pg_encoding_to_char(encoding), datcollate, datctype, to_jsonb(d) ->> 'datlocprovider',
       coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
  FROM pg_database d WHERE datname = current_database()
"""


@dataclass
class Disposable:
    """A database to restore into; it is dropped at the end unless it is kept under a new name."""

    server: postgres.Parameters
    name: str
    kept: str = ""

    @property
    def parameters(self) -> postgres.Parameters:
        """Return its connection parameters."""
        return self.server | {"dbname": self.kept or self.name}

    def check(self) -> None:
        """Check that it carries our mark, is empty, and is not the live database.

        Raises:
            TargetRefused: a check failed; nothing was written.
        """
        with (
            postgres.connect(self.parameters) as session,
            postgres.connect(postgres.live()) as live,
        ):
            if _row(session, _IDENTITY) == _row(live, _IDENTITY):
                raise TargetRefused("This is the live database: a restore never writes to it.")
            if _row(session, _COMMENT)[0] != mark(live):
                raise TargetRefused(
                    f"The database {self.name} does not carry our marker: it may belong "
                    "to somebody else."
                )
            if count := _row(session, _OBJECTS)[0]:
                raise TargetRefused(
                    f"The database {self.name} is not empty: it contains {count} objects."
                )

    def keep_as(self, new: str, comment: str) -> None:
        """Keep it under a new name; nobody may be connected to it.

        Raises:
            TargetRefused: a database of this name exists.
        """
        with postgres.connect(self.server) as session:
            try:
                session.execute(_sql("ALTER DATABASE {} RENAME TO {}", self.name, new))
            except errors.DuplicateDatabase:
                raise TargetRefused(
                    f"The database {new} already exists: a restore never overwrites a database."
                ) from None
            self.kept = new
            session.execute(_sql("COMMENT ON DATABASE {} IS {}", new, sql.Literal(comment)))


def check_new_name(server: postgres.Parameters, new: str) -> None:
    """Check that a database may be created under this name; raises TargetRefused."""
    if not _NEW_NAME.fullmatch(new):
        raise TargetRefused(
            f"{new!r} is not a valid database name here: use a-z, 0-9 and _, at most 63 characters."
        )
    with postgres.connect(server) as session:
        if session.execute("SELECT FROM pg_database WHERE datname = %s", [new]).fetchall():
            raise TargetRefused(
                f"The database {new} already exists: a restore never overwrites a database."
            )


@contextmanager
def database(server: postgres.Parameters) -> Iterator[Disposable]:
    """Create an empty, marked database and drop it after the block; drops leftovers first.

    Raises:
        BackupBusy: another process restores or rehearses there for the same live database.
        TargetRefused: our role may not create databases there.
    """
    with postgres.connect(server) as session, postgres.connect(postgres.live()) as live:
        ours, prefix = (
            mark(live),
            f"stage_rehearsal_{hashlib.sha256(_owner(live).encode()).hexdigest()[:10]}_",
        )
        if not locks.attempt_in(session, Lock.DISPOSABLE, prefix):
            raise BackupBusy(
                "Another process is restoring or rehearsing a backup there. Wait until "
                "it has finished."
            )
        # Our databases; one that has no mark yet (killed right after it was made) only if it is
        # empty.
        rows = session.execute(
            "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database WHERE "
            "starts_with(datname, %s)",
            [prefix],
        ).fetchall()
        for name, comment in rows:
            if comment is None:
                with postgres.connect(server | {"dbname": name}) as inside:
                    if _row(inside, _OBJECTS)[0]:
                        continue
            elif comment != ours:
                continue
            _drop(session, name)
        made = Disposable(server, f"{prefix}{secrets.token_hex(4)}")
        try:  # from before it is made: an interrupt may come between its making and the next line
            _make(session, made.name, ours)
            yield made
        finally:
            if not made.kept:
                _drop(session, made.name)


def mark(live: Session) -> str:
    """Return the comment that marks our disposable databases."""
    return f"{_MARK}{_owner(live)}"


def is_disposable(session: Session) -> bool:
    """Whether a session is in a disposable database, regardless of which installation made it."""
    return str(_row(session, _COMMENT)[0]).startswith(_MARK)


def _owner(live: Session) -> str:
    identifier, database = _row(
        live, "SELECT system_identifier, current_database() FROM pg_control_system()"
    )
    return f"{identifier}/{database}"


def _make(session: Session, name: str, comment: str) -> None:
    encoding, collate, ctype, provider, locale = _row(session, _LOCALE)
    words = [("ENCODING", encoding), ("LC_COLLATE", collate), ("LC_CTYPE", ctype)]
    words += {
        "i": [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", locale)],
        "b": [("LOCALE_PROVIDER", "builtin"), ("BUILTIN_LOCALE", locale)],
    }.get(str(provider), [])
    options = sql.SQL(" ").join(
        sql.SQL(f"{word} = {{}}").format(sql.Literal(value)) for word, value in words
    )
    try:
        session.execute(_sql("CREATE DATABASE {} TEMPLATE template0 {}", name, options))
    except errors.InsufficientPrivilege:
        raise TargetRefused(
            "This role may not create databases: grant it CREATEDB, or set "
            "REHEARSAL_DATABASE_URL to a server where it may, or to `embedded`."
        ) from None
    session.execute(_sql("COMMENT ON DATABASE {} IS {}", name, sql.Literal(comment)))


def _drop(session: Session, name: str) -> None:
    """Drop a database and end our sessions in it, such as a killed rehearsal's pg_restore.

    It does not use WITH (FORCE), which fails if an autovacuum worker is in the database; a plain
    DROP ends that worker itself.
    """
    session.execute(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s AND "
        "usename = current_user",
        [name],
    )
    session.execute(_sql("DROP DATABASE IF EXISTS {}", name))


def _sql(text: str, *parts: str | sql.Composable) -> sql.Composed:
    names = [sql.Identifier(part) if isinstance(part, str) else part for part in parts]
    return sql.SQL(text).format(*names)


def _row(session: Session, query: str) -> tuple[object, ...]:
    return session.execute(query).fetchall()[0]
