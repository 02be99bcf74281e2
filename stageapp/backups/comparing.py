"""Hold a restored database against the manifest: what must be equal, and whether what is built in it works."""

from collections.abc import Iterator
from typing import Any

from stageapp import conf
from stageapp.backups import libpq
from stageapp.backups.contents import Contents, Session, measure, stages_name
from stageapp.backups.manifest import Manifest
from stageapp.backups.reports import Report
from stageapp.backups.verify import Finding
from stageapp.normalization.targets import resolve

_SHOWN = 5  # differences named in a finding

# Every alias of an active stage, read by the function as text that a caller might send.
_NORMALIZES = """
SELECT count(*), count(*) FILTER (WHERE normalize_stage(a.spelling, a.source) IS DISTINCT FROM s.slug)
  FROM stageapp_stagealias a JOIN stageapp_stage s ON s.id = a.stage_id WHERE s.active
"""


def compare(restored: libpq.Parameters, expected: Manifest, report: Report) -> list[Finding]:
    """Return what was found in the restored database."""
    targets = [target for label in conf.targets() if stages_name(target := resolve(label)) in expected.contents.stages]
    with libpq.connect(restored) as session, session.transaction():
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        found = measure(session, targets, report)
        return [*_equal(found, expected.contents), _audit(found), _normalizes(session)]


def _equal(found: Contents, wanted: Contents) -> Iterator[Finding]:
    yield _same("tables", sorted(found.tables), sorted(wanted.tables))
    yield _same_each(
        "rows", {n: t.rows for n, t in found.tables.items()}, {n: t.rows for n, t in wanted.tables.items()}
    )
    yield _same_each("md5", {n: t.md5 for n, t in found.tables.items()}, {n: t.md5 for n, t in wanted.tables.items()})
    # A target whose `where` is another one by now has other values; its rows are in their table's md5.
    yield _same_each("stages", dict(found.stages), {n: s for n, s in wanted.stages.items() if n in found.stages})
    yield _same_each("audit", dict(found.audit), {n: a for n, a in wanted.audit.items() if n in found.audit})
    yield _same("vocabulary", found.vocabulary_version, wanted.vocabulary_version)
    yield _same("schema", found.schema, wanted.schema)


def _same(check: str, found: Any, wanted: Any) -> Finding:
    if found == wanted:
        return Finding(check, True, f"{len(wanted)} as in the backup" if isinstance(wanted, list) else f"{wanted}")
    return Finding(check, False, f"{found} instead of {wanted}"[:500])


def _same_each(check: str, found: dict[str, Any], wanted: dict[str, Any]) -> Finding:
    off = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if not off:
        return Finding(check, True, f"equal in {len(wanted)}")
    shown = ", ".join(f"{name}: {found.get(name)} instead of {wanted.get(name)}" for name in off[:_SHOWN])
    return Finding(check, False, f"{len(off)} differ: {shown}"[:1000])


def _audit(found: Contents) -> Finding:
    off = found.batches_off
    return Finding("batches", off == 0, f"{off} batches whose changes and audit entries differ in number")


def _normalizes(session: Session) -> Finding:
    count, wrong = session.execute(_NORMALIZES).fetchall()[0]
    return Finding("normalize_stage", count > 0 and wrong == 0, f"{count - wrong} of {count} aliases give their stage")
