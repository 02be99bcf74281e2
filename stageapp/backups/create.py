"""Creation of a backup: dump and manifest from one snapshot, renamed once both are on disk."""

import contextlib
import datetime
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from stageapp import conf
from stageapp.backups import folder, manifest, postgres
from stageapp.backups.contents import measure
from stageapp.backups.errors import BackupError
from stageapp.backups.manifest import Manifest
from stageapp.backups.progress import Report, silent
from stageapp.targets.targets import Target, resolve

_CHUNK = 1 << 20
# gzip is the compression that every build has. Its check sums make a restore of damaged data fail,
# and an uncompressed dump would restore it silently.
_OPTIONS = ["--format=custom", "--compress=3", "--no-password", "--lock-wait-timeout=60000"]


@dataclass(frozen=True)
class _Snapshot:
    id: str
    taken_at: datetime.datetime
    database: str
    database_bytes: int
    server_version: int


def create(report: Report = silent) -> Manifest:
    """Create a backup of the database and return its manifest.

    Raises:
        BackupError: it was refused or failed (full disk, no key, failing program); nothing of it
            remains.
        BackupBusy: another process is creating one.
    """
    manifest.check_keys()
    targets = [resolve(label) for label in conf.targets()]
    with folder.locked(), _plain_errors():
        name = folder.new_name(f"stage-{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%fZ}")
        with folder.unfinished(name) as place:
            made = _dump(name, place, targets, report)
            folder.write_whole(place / folder.MANIFEST, manifest.dump(made))
    return made


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        with postgres.plain_errors("Nothing was kept."):
            yield
    except OSError as error:
        free = shutil.disk_usage(folder.path()).free
        raise BackupError(
            f"The backup could not be written: {error.strerror or error}; "
            f"{free / 1000000.0:,.0f} MB are free in {folder.path()}. Nothing was kept."
        ) from None


def _dump(name: str, place: Path, targets: list[Target], report: Report) -> Manifest:
    server = postgres.live()
    with (
        postgres.connect(server) as session,
        session.transaction(),
        ThreadPoolExecutor(1) as beside,
    ):
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        row = session.execute(
            "SELECT pg_export_snapshot(), now(), current_database(), "
            "pg_database_size(current_database()), current_setting('server_version_num')::int"
        ).fetchall()[0]
        snapshot = _Snapshot(row[0], row[1].astimezone(datetime.UTC), *row[2:])
        program = postgres.path_of("pg_dump", snapshot.server_version)
        # The session is the thread's alone from here; its transaction keeps the snapshot until both
        # are done.
        tables = [(0, 0)]
        measured = beside.submit(
            measure, session, targets, lambda _, done, whole: tables.append((done, whole))
        )
        try:
            size, sha256 = _write(
                place / folder.DUMP,
                [program, *_OPTIONS, f"--snapshot={snapshot.id}"],
                server,
                report,
            )
        except BaseException:
            session.cancel()
            raise
        while not bool(wait([measured], timeout=1.0).done):
            report("measure", *tables[-1])
        contents = measured.result()
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return Manifest(
        format=manifest.FORMAT,
        name=name,
        taken_at=snapshot.taken_at,
        ended_at=datetime.datetime.now(datetime.UTC),
        bytes=size,
        sha256=sha256,
        database=snapshot.database,
        database_bytes=snapshot.database_bytes,
        server_version=snapshot.server_version,
        dump_version=version.stdout.strip(),
        contents=contents,
    )


def _write(
    target: Path, command: list[str], server: postgres.Parameters, report: Report
) -> tuple[int, str]:
    """Write pg_dump's output to the file and sync it to disk; return its size and sha256."""
    digest, size = hashlib.sha256(), 0
    with folder.create(target) as file:
        with postgres.running(command, server, stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise BackupError("The program has no output to read.")
            while chunk := process.stdout.read(_CHUNK):
                digest.update(chunk)
                rest = memoryview(chunk)
                while rest:  # a write without a buffer may take a part
                    rest = rest[file.write(rest) :]
                size += len(chunk)
                report("dump", size, 0)
        folder.flush(file)
    return size, digest.hexdigest()
