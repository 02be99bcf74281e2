"""Authenticate a delivery: three ways to prove the sender, and one answer to every failure.

The headers present decide which way is tried; no other is tried after it.
"""

import enum
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from stageapp.webhook import notification, signatures
from stageapp.webhook.notification import Unreadable
from stageapp.webhook.secrets import is_bearer, webhook_secrets, webhook_tokens
from stageapp.webhook.signatures import Malformed

TOLERANCE_SECONDS = 300
STANDARD, ALERTMANAGER, BEARER, NONE = "standard", "alertmanager", "bearer", "none"
ALERTMANAGER_SIGNATURE = "x-alertmanager-signature"

_T = TypeVar("_T")
_SECONDS, _MILLISECONDS = re.compile(r"[0-9]{10}"), re.compile(r"[0-9]{13}")
_DAY, _TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
_RFC3339 = re.compile(rf"{_DAY}T{_TIME}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})")


class Why(enum.StrEnum):
    """Why a delivery is not trusted. The log and the counts have it; the sender is not told."""

    NO_CREDENTIALS = "no_credentials"
    NOT_CONFIGURED = "not_configured"
    HEADER_MISSING = "header_missing"
    MALFORMED = "malformed"
    NOT_FRESH = "not_fresh"
    WRONG_SIGNATURE = "wrong_signature"
    WRONG_TOKEN = "wrong_token"  # noqa: S105  the name of a reason


class NotVerified(Exception):
    """A delivery that does not prove who sent it, or when."""

    def __init__(self, authenticator: str, why: Why) -> None:
        super().__init__(f"{authenticator}: {why}")
        self.authenticator, self.why = authenticator, why


@dataclass(frozen=True)
class Sent:
    """A request as received: lower-case header names, the raw body, and the sender's address."""

    headers: Mapping[str, str]
    body: bytes
    remote: str = ""


@dataclass(frozen=True)
class Verified:
    """The proved sender. `id` is the sender's id of this delivery; a bearer token gives none."""

    authenticator: str
    id: str


def verify(sent: Sent, now: float) -> Verified:
    """Return the proved sender; `now` is in seconds since 1970.

    Raises:
        NotVerified: nothing proves it, or it is more than TOLERANCE_SECONDS old or early.
    """
    for name, (tried_by, check) in _AUTHENTICATORS.items():
        if any(header in sent.headers for header in tried_by):
            try:
                return Verified(name, check(sent, now))
            except Malformed:
                raise NotVerified(name, Why.MALFORMED) from None
    raise NotVerified(NONE, Why.NO_CREDENTIALS)


def _standard(sent: Sent, now: float) -> str:
    """Return a delivery's id by Standard Webhooks."""
    if not all(name in sent.headers for name in _STANDARD_HEADERS):
        raise NotVerified(STANDARD, Why.HEADER_MISSING)
    id = signatures.read_id(sent.headers[signatures.ID])
    timestamp = signatures.read_timestamp(sent.headers[signatures.TIMESTAMP])
    given = signatures.read_signatures(sent.headers[signatures.SIGNATURE])
    keys = [key for secret in _configured(webhook_secrets(), STANDARD) for key in secret.keys]
    if not signatures.is_signed(keys, id, str(timestamp), sent.body, given):
        raise NotVerified(STANDARD, Why.WRONG_SIGNATURE)
    _check_fresh(STANDARD, timestamp, now)
    return id


def _alertmanager(sent: Sent, now: float) -> str:
    """Return the digest of a body that is signed as a whole and states its own time."""
    keys = [secret.text for secret in _configured(webhook_secrets(), ALERTMANAGER)]
    if not signatures.is_signed_hex(
        keys, sent.body, signatures.read_hex(sent.headers[ALERTMANAGER_SIGNATURE])
    ):
        raise NotVerified(ALERTMANAGER, Why.WRONG_SIGNATURE)
    try:
        said = notification.read(sent.body).sent_at
    except Unreadable:
        raise NotVerified(ALERTMANAGER, Why.NOT_FRESH) from None
    _check_fresh(ALERTMANAGER, moment(said), now)
    return hashlib.sha256(sent.body).hexdigest()


def _bearer(sent: Sent, now: float) -> str:
    """Require one of our tokens, which proves neither the time nor which delivery it is."""
    if not is_bearer(sent.headers["authorization"], _configured(webhook_tokens(), BEARER)):
        raise NotVerified(BEARER, Why.WRONG_TOKEN)
    return ""


def moment(text: str) -> float:
    """Return Unix seconds from Unix seconds, milliseconds or RFC 3339; raises Malformed."""
    if _SECONDS.fullmatch(text):
        return float(text)
    if _MILLISECONDS.fullmatch(text):
        return float(text) / 1000
    if not _RFC3339.fullmatch(text):
        raise Malformed("timestamp")
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise Malformed("timestamp") from None


def _check_fresh(authenticator: str, timestamp: float, now: float) -> None:
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise NotVerified(authenticator, Why.NOT_FRESH)


def _configured(secrets: tuple[_T, ...], authenticator: str) -> tuple[_T, ...]:
    if not secrets:
        raise NotVerified(authenticator, Why.NOT_CONFIGURED)
    return secrets


_STANDARD_HEADERS = (signatures.ID, signatures.TIMESTAMP, signatures.SIGNATURE)
_AUTHENTICATORS: dict[str, tuple[tuple[str, ...], Callable[[Sent, float], str]]] = {
    STANDARD: (_STANDARD_HEADERS, _standard),
    ALERTMANAGER: ((ALERTMANAGER_SIGNATURE,), _alertmanager),
    BEARER: (("authorization",), _bearer),
}
