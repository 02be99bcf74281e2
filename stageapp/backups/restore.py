"""Disaster recovery: restore a backup next to the live database and explain the switch."""

import dataclasses
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.utils import timezone

from stageapp import conf
from stageapp.backups import disposable, manifest, postgres, rehearse
from stageapp.backups.contents import Session
from stageapp.backups.errors import BackupError
from stageapp.backups.progress import Report, silent
from stageapp.backups.verify import Finding, check_file, failures
from stageapp.infrastructure import words
from stageapp.mode import fast_copy, history, store
from stageapp.mode.store import ModeState
from stageapp.models.mode import ModeChange

_LATEST = (
    "SELECT mode, percent, epoch, version, enforce_on FROM stageapp_modechange "
    "ORDER BY epoch DESC, version DESC LIMIT 1"
)
_INSERT = (
    "INSERT INTO stageapp_modechange (epoch, version, mode, percent, enforce_on, kind, actor, "
    "reason, override_reason, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '', now())"
)
_UNFINISHED_RUNS = (
    "SELECT id FROM stageapp_run WHERE state IN ('running', 'pausing', 'verifying', "
    "'rolling_back') ORDER BY id"
)

_PSQL = {"host": "host", "port": "port", "username": "user"}


@dataclass(frozen=True)
class Restored:
    """A restored database, verified and not yet in use."""

    name: str
    database: str
    live: str
    seconds: float
    data_age_seconds: float
    mode: ModeState
    runs: tuple[int, ...]
    psql: str

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "database": self.database,
            "live": self.live,
            "seconds": round(self.seconds, 3),
            "data_age_seconds": round(self.data_age_seconds, 1),
            "mode": self.mode.mode,
            "percent": self.mode.percent,
            "epoch": self.mode.epoch,
            "version": self.mode.version,
            "unfinished_runs": list(self.runs),
            "switch_over": self.statements(),
        }

    def statements(self) -> list[str]:
        """Return the SQL that replaces the live database with the restored one."""
        before = f"{self.live[:40]}_before_{timezone.now():%Y%m%d_%H%M%S}"
        return [
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN "
            f"('{self.live}', '{self.database}') AND pid <> pg_backend_pid() AND "
            "pg_has_role(usesysid, 'MEMBER')",
            f'ALTER DATABASE "{self.live}" RENAME TO "{before}"',
            f'ALTER DATABASE "{self.database}" RENAME TO "{self.live}"',
        ]

    def steps(self) -> list[str]:
        """Return the steps of the switch-over, for an operator."""
        runs = ", ".join(map(str, self.runs))
        return [
            f"{self.name} was restored into the new database {self.database} and matches "
            f"its manifest ({words.duration(self.seconds)}; its data is "
            f"{words.duration(self.data_age_seconds)} old).",
            f"The mode in it is {self.mode.mode} (version {self.mode.epoch}.{self.mode.version}, "
            "a new epoch).",
            *([f"These runs were in progress and continue by themselves: {runs}."] if runs else []),
            "Nothing uses it yet. To switch over:",
            "  1. Stop the web processes, the workers and beat.",
            "  2. Replace the live database with it (or set DATABASE_URL to the database "
            f"{self.database}):",
            "",
            f"{self.psql} <<'SQL'",
            *(f"{statement};" for statement in self.statements()),
            "SQL",
            "",
            "  3. python manage.py migrate",
            "  4. python manage.py mode show",
            "  5. Start the web processes, the workers and beat.",
            "  6. Keep the old database until you are sure; then drop it.",
        ]


def restore(
    name: str, database: str | None, *, actor: str, reason: str, report: Report = silent
) -> Restored:
    """Restore a backup into a new database on the live server; the live one is untouched.

    Raises:
        BackupError: the backup is damaged, or the result does not match its manifest; nothing
            remains.
        TargetRefused: a database of this name exists.
        NoSuchBackup: there is no backup of this name.
    """
    manifest.check_keys()
    with postgres.plain_errors("Nothing was kept."):
        server = postgres.live()
        new = database or f"{server['dbname'][:40].lower()}_restored_{timezone.now():%Y%m%d_%H%M%S}"
        disposable.check_new_name(server, new)
        began, asked_at = time.monotonic(), timezone.now()
        with rehearse.opened(name) as (signed, dump):
            _require_passed(name, check_file(signed, dump, report))
            with disposable.database(server) as target:
                _require_passed(name, rehearse.fill(target, signed, dump, report))
                with postgres.connect(target.parameters) as session:
                    mode = _begin_epoch(session, name, actor, reason)
                    runs = tuple(
                        int(str(row[0])) for row in session.execute(_UNFINISHED_RUNS).fetchall()
                    )
                    program = postgres.path_of("psql", session.info.server_version)
                    words = [
                        program,
                        *(
                            f"--{name}={server[word]}"
                            for name, word in _PSQL.items()
                            if word in server
                        ),
                    ]
                    psql = shlex.join([*words, "--dbname=postgres", "--set=ON_ERROR_STOP=1"])
                target.keep_as(new, f"restored from {name} by {actor}")
        age = (asked_at - signed.taken_at).total_seconds()
        return Restored(
            name, new, server["dbname"], time.monotonic() - began, age, mode, runs, psql
        )


def _require_passed(name: str, findings: list[Finding]) -> None:
    if failed := failures(findings):
        raise BackupError(
            f"{name} was not restored, and nothing was kept: {failed}. Try another "
            "backup: `backup list`."
        )


def _begin_epoch(session: Session, name: str, actor: str, reason: str) -> ModeState:
    """Write and return the restored database's mode as the first of a new epoch.

    Processes know newer versions than the backup contains; only a higher epoch makes them follow.
    The mode is the less strict one of the backup's and the live one; if the live one is unknown,
    at most `warn`. The announced day is the most recently decided one of the two.
    """
    held = [ModeState(*row) for row in session.execute(_LATEST).fetchall()] or [
        ModeState(conf.default_mode())
    ]
    known = _known_elsewhere()
    ceiling = known[0] if known else ModeState("warn")
    chosen = min(held[0], ceiling, key=lambda state: state.strictness)
    new = dataclasses.replace(
        chosen,
        epoch=max(state.epoch for state in [*held, *known]) + 1,
        version=max(state.version for state in [*held, *known]) + 1,
        enforce_on=max([*held, *known[:1]], key=lambda state: state.order).enforce_on,
    )
    # The latch of the live database must survive restoring an older backup.
    lowered = chosen.strictness < held[0].strictness
    with suppress(DatabaseError):
        lowered = lowered or history.read().latched
    kind = "downgrade" if lowered else "manual"
    why = f"Restored from {name}: {reason}"
    session.execute(
        _INSERT, [new.epoch, new.version, new.mode, new.percent, new.enforce_on, kind, actor, why]
    )
    return new


def _known_elsewhere() -> list[ModeState]:
    """Return the mode of the live database and of the fast copy, as far as they answer."""
    elsewhere = []
    with suppress(DatabaseError):
        if ModeChange._meta.db_table in connection.introspection.table_names():
            elsewhere.append(store.latest())
    held = fast_copy.read()
    if held and (copy := store.parse_fast_copy(held)):
        elsewhere.append(copy)
    return elsewhere
