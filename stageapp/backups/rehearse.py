"""Real restores of a backup: for a rehearsal into a dropped database, or to keep in a disaster."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import psycopg
from django.utils import timezone

from stageapp import conf, embedded
from stageapp.backups import disposable, folder, manifest, postgres
from stageapp.backups.contents import Contents, measure, stages_name
from stageapp.backups.disposable import Disposable
from stageapp.backups.errors import BackupError, BadManifest
from stageapp.backups.manifest import Manifest
from stageapp.backups.progress import Report, silent
from stageapp.backups.verify import Finding, Verdict, check_file, failures
from stageapp.targets.targets import resolve

# Hold a restored database against the manifest: what must be equal, and whether what is built in it
# works.

_SHOWN = 5  # differences named in a finding

# Every alias of an active stage, read by the function as text that a caller might send.
_NORMALIZES = """
SELECT count(*), count(*) FILTER (WHERE normalize_stage(a.spelling, a.source) IS DISTINCT FROM s.slug)
  FROM stageapp_stagealias a JOIN stageapp_stage s ON s.id = a.stage_id WHERE s.active
"""


def compare(restored: postgres.Parameters, expected: Manifest, report: Report) -> list[Finding]:
    """Return what was actual in the restored database."""
    targets = [
        target
        for label in conf.targets()
        if stages_name(target := resolve(label)) in expected.contents.stages
    ]
    with postgres.connect(restored) as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        actual = measure(session, targets, report)
        count, wrong = session.execute(_NORMALIZES).fetchall()[0]
    off = actual.batches_off
    differing = f"{off} batches whose numbers of changes and audit entries differ"
    mapped = f"{count - wrong} of {count} aliases map to their stage"
    return [
        *_equal(actual, expected.contents),
        Finding("batches", off == 0, differing),
        Finding("normalize_stage", count > 0 and wrong == 0, mapped),
    ]


def _equal(restored: Contents, wanted: Contents) -> Iterator[Finding]:
    yield _same("tables", sorted(restored.tables), sorted(wanted.tables))
    yield _same_each(
        "rows",
        {n: t.rows for n, t in restored.tables.items()},
        {n: t.rows for n, t in wanted.tables.items()},
    )
    yield _same_each(
        "md5",
        {n: t.md5 for n, t in restored.tables.items()},
        {n: t.md5 for n, t in wanted.tables.items()},
    )
    # A target whose `where` is another one by now has other values; its rows are in their table's
    # md5.
    yield _same_each(
        "stages",
        dict(restored.stages),
        {n: s for n, s in wanted.stages.items() if n in restored.stages},
    )
    yield _same_each(
        "audit",
        dict(restored.audit),
        {n: a for n, a in wanted.audit.items() if n in restored.audit},
    )
    yield _same("vocabulary", restored.vocabulary_version, wanted.vocabulary_version)
    yield _same("schema", restored.schema, wanted.schema)


def _same(check: str, actual: Any, wanted: Any) -> Finding:
    if actual == wanted:
        return Finding(
            check,
            True,
            f"{len(wanted)} as in the backup" if isinstance(wanted, list) else f"{wanted}",
        )
    return Finding(check, False, f"{actual} instead of {wanted}"[:500])


def _same_each(check: str, actual: dict[str, Any], wanted: dict[str, Any]) -> Finding:
    off = sorted(name for name in {*actual, *wanted} if actual.get(name) != wanted.get(name))
    if not off:
        return Finding(check, True, f"equal in {len(wanted)}")
    shown = ", ".join(
        f"{name}: {actual.get(name)} instead of {wanted.get(name)}" for name in off[:_SHOWN]
    )
    return Finding(check, False, f"{len(off)} differ: {shown}"[:1000])


EMBEDDED = "embedded"
_JOBS = 2
_OPTIONS = ["--exit-on-error", f"--jobs={_JOBS}", "--no-owner", "--no-privileges", "--no-password"]


def rehearse(name: str, report: Report = silent) -> Verdict:
    """Restore a backup into a disposable database, compare it with the manifest, and drop it.

    The verdict's `seconds` are the measured time to restore (RTO), from the first byte read to the
    last comparison; its `data_age` is how much data would have been lost (RPO).

    Raises:
        NoSuchBackup: there is no backup of this name.
        BackupBusy, TargetRefused: nothing was restored.
    """
    began, asked_at = time.monotonic(), timezone.now()
    manifest.check_keys()
    try:
        with postgres.plain_errors("Nothing was rehearsed."), opened(name) as (signed, dump):
            findings = check_file(signed, dump, report)
            if all(finding.passed for finding in findings):
                with _server(signed) as server, disposable.database(server) as target:
                    findings += fill(target, signed, dump, report)
                    seconds = (
                        time.monotonic() - began
                    )  # a restore would end here: nothing has to be dropped then
            else:
                seconds = time.monotonic() - began
    except BadManifest as error:
        return Verdict(name, (Finding("manifest", False, str(error)),), time.monotonic() - began)
    return Verdict(name, tuple(findings), seconds, signed, asked_at - signed.taken_at)


@contextmanager
def opened(name: str) -> Iterator[tuple[Manifest, BinaryIO]]:
    """Open a backup's manifest and dump; raises as `folder.opened` and `manifest.load` do."""
    if name.endswith(".sql"):
        raise BackupError(
            "A plain .sql file has no manifest to compare with: it can be verified, not rehearsed."
        )
    with folder.opened(name, folder.MANIFEST, folder.DUMP) as (described, dump):
        yield manifest.load(described.read(manifest.MAX_BYTES), name), dump


@contextmanager
def restored_copy(
    name: str, report: Report = silent
) -> Iterator[tuple[Manifest, postgres.Parameters]]:
    """Restore a backup, compare it with its manifest, and keep the copy for the block.

    Raises:
        NoSuchBackup: there is no backup of this name.
        BackupBusy, TargetRefused: nothing was restored.
        BackupError: it is damaged, or the result does not match its manifest.
    """
    manifest.check_keys()
    with opened(name) as (signed, dump):
        _require_passed(name, check_file(signed, dump, report))
        with _server(signed) as server, disposable.database(server) as target:
            _require_passed(name, fill(target, signed, dump, report))
            yield signed, target.parameters


def _require_passed(name: str, findings: list[Finding]) -> None:
    if failed := failures(findings):
        raise BackupError(
            f"No working copy can be made from {name}: {failed}. Make and verify a new backup."
        )


def fill(target: Disposable, manifest: Manifest, dump: BinaryIO, report: Report) -> list[Finding]:
    """Restore an open dump into an empty, marked database and compare; a failure is a finding.

    Raises:
        TargetRefused: the database is live, not empty, or not marked; nothing was written.
    """
    target.check()
    try:
        with postgres.connect(target.parameters) as session:
            program = postgres.path_of("pg_restore", session.info.server_version)
            # By our handle, so that it is the very file that was verified, whatever its name leads
            # to by now.
            command = [program, *_OPTIONS, f"--dbname={target.name}", f"/dev/fd/{dump.fileno()}"]
            whole = manifest.database_bytes

            def tell() -> None:
                size = session.execute("SELECT pg_database_size(current_database())").fetchall()
                report("restore", min(int(size[0][0]), whole), whole)

            postgres.run(command, target.parameters, keep=[dump.fileno()], tick=tell)
            report("restore", whole, whole)
            session.execute("ANALYZE")
        return [
            Finding("restore", True, f"pg_restore with {_JOBS} jobs"),
            *compare(target.parameters, manifest, report),
        ]
    except (BackupError, psycopg.Error) as error:
        return [Finding("restore", False, str(error))]


@contextmanager
def _server(manifest: Manifest) -> Iterator[postgres.Parameters]:
    """Yield the server for rehearsals: live, REHEARSAL_DATABASE_URL, or a throwaway one."""
    chosen = conf.settings.rehearsal_database_url
    if chosen == EMBEDDED:
        fitting = [
            major
            for major in sorted(embedded.POSTGRES_VERSIONS)
            if major >= manifest.server_version // 10_000
        ]
        if not fitting:
            raise BackupError(
                f"The backup is from PostgreSQL {manifest.server_version // 10000}, newer "
                "than the embedded servers: set REHEARSAL_DATABASE_URL to a server of "
                "that version."
            )
        with embedded.throw_away(fitting[0]) as url:
            yield postgres.of_url(url)
    else:
        yield postgres.of_url(chosen) if chosen else postgres.live()
