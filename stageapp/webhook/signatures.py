"""Sign and compare: HMAC-SHA256 as Standard Webhooks has it, and over the raw body alone."""

import base64
import hashlib
import hmac
from collections.abc import Iterable

from stageapp.webhook.headers import ID, SIGNATURE, TIMESTAMP


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`; `timestamp` is in seconds since 1970."""
    return f"v1,{base64.b64encode(_mac(key, _signed(id, str(timestamp), body))).decode()}"


def signed_headers(key: bytes, id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks."""
    return {ID: id, TIMESTAMP: str(timestamp), SIGNATURE: sign(key, id, timestamp, body)}


def is_signed(keys: Iterable[bytes], id: str, timestamp: str, body: bytes, signatures: list[str]) -> bool:
    """Tell whether one of the signatures is that of one of the keys; the time tells nothing of which."""
    signed = _signed(id, timestamp, body)
    # Compared as text, so that the bits that base64 leaves over cannot make two signatures of one.
    expected = [base64.b64encode(_mac(key, signed)) for key in keys]
    agreed = [hmac.compare_digest(given.encode("ascii"), own) for own in expected for given in signatures]
    return any(agreed)  # of all, whichever agreed


def is_signed_hex(keys: Iterable[bytes], body: bytes, signature: str) -> bool:
    """Tell whether the hex digits are the signature of the raw body by one of the keys."""
    agreed = [hmac.compare_digest(signature.encode("ascii"), _mac(key, body).hex().encode("ascii")) for key in keys]
    return any(agreed)


def _signed(id: str, timestamp: str, body: bytes) -> bytes:
    return f"{id}.{timestamp}.".encode() + body


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
