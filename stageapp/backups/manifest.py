"""The manifest: signed facts about a backup that nobody else can forge."""

import dataclasses
import datetime
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Any

from stageapp import conf
from stageapp.backups.contents import AuditFacts, Contents, StageFacts, TableFacts
from stageapp.backups.errors import BackupError, BadManifest

FORMAT = 1
MIN_KEY_LENGTH = 32
MAX_BYTES = 16_000_000
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Manifest:
    """The facts of one backup; `taken_at` is its snapshot's time: later changes are not in it."""

    format: int
    name: str
    taken_at: datetime.datetime
    ended_at: datetime.datetime
    bytes: int
    sha256: str
    database: str
    database_bytes: int
    server_version: int
    dump_version: str
    contents: Contents


def dump(manifest: Manifest) -> bytes:
    """Return the manifest as signed JSON.

    Raises:
        BackupError: there is no signing key.
    """
    body = dataclasses.asdict(manifest)
    return _written({"manifest": body, "signature": _signatures(body)[0]})


def load(data: bytes, name: str) -> Manifest:
    """Return the manifest of the backup of this name.

    Raises:
        BadManifest: it is not our JSON, was altered, or belongs to another backup.
    """
    try:
        document = _parse(data)
        if not isinstance(document, dict) or set(document) != {"manifest", "signature"}:
            raise BadManifest("The manifest does not have our format.")
        body = document["manifest"]
        signature = document["signature"]
        given = signature if isinstance(signature, str) and _HEX64.match(signature) else ""
        agreed = [
            hmac.compare_digest(given, expected) for expected in _signatures(body)
        ]  # all, so in constant time
        if not any(agreed):
            raise BadManifest(
                "The manifest's signature is not valid: the manifest was changed, or "
                "signed with another STAGE_BACKUP_KEY."
            )
        if _written(document) != data:
            raise BadManifest(
                "The manifest was rewritten by somebody: it is not byte for byte as we write it."
            )
        try:
            manifest = _read(document["manifest"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BadManifest(
                f"The manifest is signed, but its content is not as expected: {error!r}."
            ) from None
        if manifest.name != name:
            raise BadManifest(f"The manifest belongs to {manifest.name}, not to {name}.")
        return manifest
    except RecursionError:
        raise BadManifest("The manifest cannot be read: it is nested too deeply.") from None


def check_keys() -> None:
    """Check that there is a signing key; raises BackupError."""
    _keys()


def _signatures(body: Any) -> list[str]:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), default=_text).encode()
    return [hmac.new(key, text, hashlib.sha256).hexdigest() for key in _keys()]


def _keys() -> list[bytes]:
    """Return the keys: the first signs, any of them is accepted."""
    keys = conf.backup_keys()
    if not keys or min(map(len, keys)) < MIN_KEY_LENGTH:
        raise BackupError(
            f"Set STAGE_BACKUP_KEY to {MIN_KEY_LENGTH} random characters or more (openssl "
            "rand -hex 32), and keep a copy of it away from the backups: it signs their "
            "manifests."
        )
    return [key.encode() for key in keys]


def _written(document: Any) -> bytes:
    return json.dumps(document, indent=1, default=_text).encode()


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} cannot be stored in a manifest")


def _parse(data: bytes) -> Any:
    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("it contains a name twice")
        return members

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is not an allowed number")

    try:
        return json.loads(data.decode("ascii"), object_pairs_hook=once_each, parse_constant=refuse)
    except ValueError as error:
        raise BadManifest(f"The manifest cannot be read: {str(error)[:200]}.") from None


def _read(body: dict[str, Any]) -> Manifest:
    if body["format"] != FORMAT:
        raise ValueError(f"format {body['format']}; this version reads {FORMAT}")
    inner = body["contents"]
    contents = inner | {
        "tables": {name: TableFacts(**facts) for name, facts in inner["tables"].items()},
        "stages": {
            name: StageFacts(
                **facts | {"counts": tuple((value, count) for value, count in facts["counts"])}
            )
            for name, facts in inner["stages"].items()
        },
        "audit": {name: AuditFacts(**facts) for name, facts in inner["audit"].items()},
    }
    times = {name: datetime.datetime.fromisoformat(body[name]) for name in ("taken_at", "ended_at")}
    if not _HEX64.match(body["sha256"]) or None in (time.tzinfo for time in times.values()):
        raise ValueError("its sha256 or one of its times is invalid")
    return Manifest(**body | times | {"contents": Contents(**contents)})
