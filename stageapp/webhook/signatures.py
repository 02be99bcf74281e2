"""Sign and verify with HMAC-SHA256, by Standard Webhooks and over the raw body alone."""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

# Read the headers of Standard Webhooks: whatever they hold, it is what the specification says, or
# malformed.
#
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
MAX_SIGNATURES = 16  # a rotation takes two
MAX_ID_LENGTH = 128

# Visible ASCII without the dot, which parts id, timestamp and body, and without the comma.
_ID = re.compile(rf"[!-+\-/-~]{{1,{MAX_ID_LENGTH}}}")
_TIMESTAMP = re.compile(r"[0-9]{10}")
_VERSIONED = re.compile(r"v[0-9]{1,2}[a-z]?,[A-Za-z0-9+/]+={0,2}")
_CHARACTERS_EACH = 200
_HEX = re.compile(r"[0-9A-Fa-f]{64}")


class Malformed(ValueError):
    """A header that violates the specification."""


def read_id(value: str) -> str:
    """Return the id; raises Malformed."""
    if not _ID.fullmatch(value):
        raise Malformed(ID)
    return value


def read_timestamp(value: str) -> int:
    """Return the seconds since 1970, ten ASCII digits; raises Malformed."""
    if not _TIMESTAMP.fullmatch(value):
        raise Malformed(TIMESTAMP)
    return int(value)


def read_signatures(value: str) -> list[str]:
    """Return the v1 signatures in base64; other versions are ignored.

    Raises:
        Malformed: a part is not `version,base64`, or there are more than MAX_SIGNATURES.
    """
    if len(value) > MAX_SIGNATURES * _CHARACTERS_EACH:  # before anything is taken apart
        raise Malformed(SIGNATURE)
    parts = value.split(" ")
    if len(parts) > MAX_SIGNATURES or not all(map(_VERSIONED.fullmatch, parts)):
        raise Malformed(SIGNATURE)
    return [part.removeprefix("v1,") for part in parts if part.startswith("v1,")]


def read_hex(value: str) -> str:
    """Return 64 hex digits, in lower case; raises Malformed."""
    if not _HEX.fullmatch(value):
        raise Malformed(SIGNATURE)
    return value.lower()


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`; `timestamp` is in seconds since 1970."""
    return f"v1,{base64.b64encode(_mac(key, _signed(id, str(timestamp), body))).decode()}"


def signed_headers(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three Standard Webhooks headers."""
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: sign(key, id, timestamp, body)}


def is_signed(
    keys: Iterable[bytes], id: str, timestamp: str, body: bytes, signatures: list[str]
) -> bool:
    """Whether any signature was made with any key; the timing does not reveal which."""
    signed = _signed(id, timestamp, body)
    # Compared as text, so that the bits that base64 leaves over cannot make two signatures of one.
    expected = [base64.b64encode(_mac(key, signed)) for key in keys]
    agreed = [
        hmac.compare_digest(given.encode("ascii"), own) for own in expected for given in signatures
    ]
    return any(agreed)  # of all, whichever agreed


def is_signed_hex(keys: Iterable[bytes], body: bytes, signature: str) -> bool:
    """Whether the hex digits are the signature of the raw body by any key."""
    agreed = [
        hmac.compare_digest(signature.encode("ascii"), _mac(key, body).hex().encode("ascii"))
        for key in keys
    ]
    return any(agreed)


def _signed(id: str, timestamp: str, body: bytes) -> bytes:
    return f"{id}.{timestamp}.".encode() + body


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
