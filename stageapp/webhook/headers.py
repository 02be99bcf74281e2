"""Read the headers of Standard Webhooks: whatever they hold, it is what the specification says, or malformed.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import re

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
    """A header that is not as the specification has it."""


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
    """Return the v1 signatures in base64; other versions are left out.

    Raises:
        Malformed: a part is no `version,base64`, or there are more than MAX_SIGNATURES.
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
