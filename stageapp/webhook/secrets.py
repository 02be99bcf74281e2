"""The webhook's secrets from the environment: which are strong enough, and the keys they hold.

Read while the settings load, so that a process with a weak secret does not start at all.
"""

import base64
import hmac
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from django.core.exceptions import ImproperlyConfigured

from stageapp import conf

MIN_LENGTH = 32
MIN_KEY_BYTES = 24  # of a key in base64, as Standard Webhooks has it: those are 32 characters
PREFIX = "whsec_"

_ADVICE = "Make one with: openssl rand -hex 32"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, section 2.1


class SecretError(ValueError):
    """A weak or missing secret; the text says what to do, and never what the secret is."""


@dataclass(frozen=True)
class Secret:
    """One secret. `text` is all of it in bytes; `keys` may have signed, the first one signs."""

    text: bytes
    keys: tuple[bytes, ...]


@lru_cache(maxsize=8)
def read_secrets(value: str) -> tuple[Secret, ...]:
    """Return the space-separated secrets in `value`; the first one signs, any may have signed.

    One that begins with `whsec_` is a base64 key. Any other is the key itself; if it happens to be
    base64, its decoded form is accepted too, since libraries of Standard Webhooks always decode.

    Raises:
        SecretError: there is none, or one of them is too weak.
    """
    return tuple(_secret(word) for word in _words(value))


@lru_cache(maxsize=8)
def read_tokens(value: str) -> tuple[bytes, ...]:
    """Return the space-separated bearer tokens in `value`.

    Raises:
        SecretError: there is none, one of them is too weak, or has characters that no header can
            carry (RFC 6750).
    """
    words = _words(value)
    for word in words:
        _check_text(word)
        if not _TOKEN.fullmatch(word):
            raise SecretError(f"a token may hold letters, digits and - . _ ~ + / only. {_ADVICE}")
    return tuple(word.encode() for word in words)


def _words(value: str) -> list[str]:
    words = value.split()
    if not words:
        raise SecretError(f"it is set, but empty. {_ADVICE}; or leave it out")
    return words


def _secret(word: str) -> Secret:
    bare, decoded = word.removeprefix(PREFIX).rstrip("="), None
    with suppress(ValueError):  # base64, padded or not
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    if not word.startswith(PREFIX):
        _check_text(word)
        strong = decoded is not None and len(decoded) >= MIN_KEY_BYTES and len(set(decoded)) > 1
        own = word.encode()
        return Secret(own, (own, decoded) if decoded is not None and strong else (own,))
    if decoded is None:
        raise SecretError(f"what follows {PREFIX} is not base64. {_ADVICE}, without {PREFIX}")
    if len(decoded) < MIN_KEY_BYTES:
        raise SecretError(
            f"the key after {PREFIX} is shorter than {MIN_KEY_BYTES} bytes. {_ADVICE}"
        )
    if len(set(decoded)) == 1:
        raise SecretError(f"it is one character repeated. {_ADVICE}")
    return Secret(word.encode(), (decoded,))


def _check_text(word: str) -> None:
    if len(word) < MIN_LENGTH:
        raise SecretError(f"a secret is shorter than {MIN_LENGTH} characters. {_ADVICE}")
    if len(set(word)) == 1:
        raise SecretError(f"it is one character repeated. {_ADVICE}")


def webhook_secrets() -> tuple[Secret, ...]:
    """Return the secrets for signed deliveries, the signing one first; none if it is closed."""
    value = conf.settings.alertmanager_webhook_secret
    return read_secrets(value) if value else ()


def is_bearer(header: str, tokens: Iterable[bytes]) -> bool:
    """Whether an Authorization header holds one of the tokens; the timing does not reveal which."""
    scheme, _, token = header.partition(" ")
    given = token.strip(" ").encode("utf-8", "backslashreplace")
    agreed = [hmac.compare_digest(given, own) for own in tokens]
    return scheme.lower() == "bearer" and any(agreed)


def webhook_tokens() -> tuple[bytes, ...]:
    """Return the tokens that Alertmanager may send itself; none if that way is closed."""
    value = conf.settings.alertmanager_bearer_token
    return read_tokens(value) if value else ()


def refuse_weak(environment: Mapping[str, str]) -> None:
    """Refuse to start a process that would believe anybody: here an empty variable is not an
    unset one.

    Raises:
        ImproperlyConfigured: the secret or the token is set, and too weak.
    """
    readers = {
        "ALERTMANAGER_WEBHOOK_SECRET": read_secrets,
        "ALERTMANAGER_BEARER_TOKEN": read_tokens,
    }
    for name, read in readers.items():
        try:
            if (value := environment.get(name)) is not None:
                read(value)
        except SecretError as error:
            raise ImproperlyConfigured(f"{name} is not usable: {error}.") from None
