"""Verification without a database: in constant memory, by one handle, ignoring names and dates."""

import dataclasses
import datetime
import hashlib
import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.utils import timezone

from stageapp.backups import folder, manifest, postgres
from stageapp.backups.errors import BackupError, NoSuchBackup
from stageapp.backups.manifest import Manifest
from stageapp.backups.progress import Report, silent
from stageapp.infrastructure import words

_CHUNK = 1 << 20
CLOCKS_DIFFER = datetime.timedelta(seconds=60)  # at most, between the database's machine and ours
_SUM_LINE = re.compile(rb"([0-9a-fA-F]{64})(?: [ *](\S+))?\s*")


@dataclass(frozen=True)
class Finding:
    """One check of a verification or rehearsal."""

    check: str
    passed: bool
    said: str


def failures(findings: Iterable[Finding]) -> str:
    """Return the failed checks as text."""
    return "; ".join(f"{one.check}: {one.said}" for one in findings if not one.passed)


@dataclass(frozen=True)
class Verdict:
    """The result of a verification or rehearsal; `manifest` is None if missing or untrusted."""

    name: str
    findings: tuple[Finding, ...]
    seconds: float
    manifest: Manifest | None = None
    data_age: datetime.timedelta | None = None

    @property
    def passed(self) -> bool:
        """Whether every check passed; False without checks."""
        return bool(self.findings) and all(finding.passed for finding in self.findings)

    @property
    def failures(self) -> str:
        """The failed checks as text."""
        return failures(self.findings)

    def document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "seconds": round(self.seconds, 3),
            "taken_at": self.manifest.taken_at.isoformat() if self.manifest else None,
            "data_age_seconds": round(self.data_age.total_seconds(), 1)
            if self.data_age is not None
            else None,
            "findings": [dataclasses.asdict(finding) for finding in self.findings],
        }


def verify(name: str, report: Report = silent) -> Verdict:
    """Verify that a backup is complete and ours, and measure the age of its data.

    Raises:
        NoSuchBackup: there is no backup of this name, or the name is not a single word.
        BackupError: there is no key to check the signature.
    """
    manifest.check_keys()
    began = time.monotonic()
    if name.endswith(".sql"):
        return _verify_plain(name, began, report)
    try:
        with folder.opened(name, folder.MANIFEST, folder.DUMP) as (described, dump):
            signed = manifest.load(described.read(manifest.MAX_BYTES), name)
            findings = [
                Finding("manifest", True, "signed, and belongs to this backup"),
                *check_file(signed, dump, report),
            ]
    except NoSuchBackup:
        raise
    except BackupError as error:
        return Verdict(name, (Finding("manifest", False, str(error)),), time.monotonic() - began)
    age = timezone.now() - signed.taken_at
    return Verdict(name, (*findings, *of_the_future(age)), time.monotonic() - began, signed, age)


def of_the_future(age: datetime.timedelta) -> list[Finding]:
    """Return a finding if the data is dated in the future, as it would then never be too old."""
    if age >= -CLOCKS_DIFFER:
        return []
    return [
        Finding("clock", False, f"its data is dated {_said(-age)} in the future: a clock is wrong")
    ]


def aged(verdict: Verdict, most: datetime.timedelta | None) -> Verdict:
    """Add the age check to a verdict: at most `most`; None allows any age but reports it."""
    if verdict.data_age is None:
        finding = Finding("age", most is None, "it has no timestamp of its own")
    elif most is None or verdict.data_age <= most:
        finding = Finding("age", True, f"its data is {_said(verdict.data_age)} old")
    else:
        said = f"its data is {_said(verdict.data_age)} old, more than {_said(most)}"
        finding = Finding("age", False, said)
    return dataclasses.replace(verdict, findings=(*verdict.findings, finding))


def check_file(manifest: Manifest, dump: BinaryIO, report: Report) -> list[Finding]:
    """Check an open dump against its manifest: size, sha256, and whether pg_restore can list it."""
    size = os.fstat(dump.fileno()).st_size
    if size != manifest.bytes:
        return [Finding("size", False, f"{size:,} bytes instead of {manifest.bytes:,}")]
    findings = [
        Finding("size", True, f"{size:,} bytes"),
        _same_sum(dump, size, manifest.sha256, report),
    ]
    return [*findings, _listing(manifest, dump)] if findings[-1].passed else findings


def _same_sum(file: BinaryIO, size: int, expected: str, report: Report) -> Finding:
    actual = sha256_of(file, size, report)
    said = (
        f"sha256 {words.short_hash(actual)}…"
        if actual == expected
        else f"sha256 is {actual}, not {expected}"
    )
    return Finding("sha256", actual == expected, said)


def sha256_of(file: BinaryIO, size: int, report: Report = silent) -> str:
    """Return the sha256 of an open file, read from the start through one buffer."""
    digest, buffer, done = hashlib.sha256(), memoryview(bytearray(_CHUNK)), 0
    file.seek(0)
    while count := file.readinto(buffer):  # type: ignore[attr-defined]
        digest.update(buffer[:count])
        done += count
        report("verify", done, size)
    return digest.hexdigest()


def _listing(manifest: Manifest, dump: BinaryIO) -> Finding:
    """Have pg_restore read the table of contents; cheap, and no proof by itself."""
    try:
        program = postgres.path_of("pg_restore", manifest.server_version)
        postgres.run([program, "--list", f"/dev/fd/{dump.fileno()}"], {}, keep=[dump.fileno()])
    except BackupError as error:
        return Finding("listing", False, str(error))
    return Finding("listing", True, "pg_restore can read its table of contents")


def _said(age: datetime.timedelta) -> str:
    return words.duration(age.total_seconds())


def _verify_plain(name: str, began: float, report: Report) -> Verdict:
    """Verify a plain .sql file by its .sha256 (`sha256sum` format); it has no time of its own."""
    try:
        with folder.opened(name) as (file, described):
            line = _SUM_LINE.fullmatch(described.read(1000))
            if line is None or (line[2] or name.encode()).removeprefix(b"./") != name.encode():
                raise BackupError(
                    f"{name}.sha256 does not contain the sha256 of {name}. Write it with: "
                    f"sha256sum {name}"
                )
            size = os.fstat(file.fileno()).st_size
            findings = [_same_sum(file, size, line[1].decode().lower(), report)]
            findings += [Finding("size", size > 0, f"{size:,} bytes")]
    except BackupError as error:
        findings = [Finding("sha256", False, str(error))]
    return Verdict(name, tuple(findings), time.monotonic() - began)
