"""API consumers and tokens. A token is shown once, at creation; only its digest is stored."""

import datetime
import secrets
import unicodedata
from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.utils import timezone

from stageapp.models.consumers import Consumer

TOKEN_BYTES = 32
_SCOPES = [scope for scope, _ in Consumer.SCOPES]


# Who else acts: a consumer of that name could write as them into the history.
RESERVED = frozenset(
    (
        "guard",
        "auto-downgrade",
        "beat",
        "system",
        "migration",
        "adapter",
        "trial",
        "drift check",
        "session",
        "cli",
    )
)
# Scripts whose letters look alike; others may stand beside each other, as in Japanese names.
_ALIKE = frozenset(("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"))


class ConsumerError(Exception):
    """A consumer that cannot be created; the text says what to do."""


def create(
    name: str, scopes: Collection[str], expires_at: datetime.datetime | None = None
) -> tuple[Consumer, str]:
    """Create a consumer and return it with its token, which cannot be read again later.

    Raises:
        ConsumerError: the name is empty, taken (whatever its case), reserved or in several scripts,
            a scope does not exist or none is given, or the expiry is in the past.
    """
    plain = unicodedata.normalize("NFKC", name).strip() if name.isprintable() else ""
    if not 1 <= len(plain) <= 200:
        raise ConsumerError(
            "A consumer needs a name of 1 to 200 printable characters: the service or "
            "team that calls."
        )
    if ":" in plain or plain.casefold() in RESERVED:
        raise ConsumerError(
            f"The name {plain!r} could be mistaken for one of the system's own in the history: names "
            f"have no colon, and are not {', '.join(sorted(RESERVED))}. Choose another name."
        )
    if len(scripts := _scripts(plain)) > 1:
        raise ConsumerError(
            f"The name {plain!a} mixes letters that look alike, {' and '.join(sorted(scripts))}. Write "
            "it in one script."
        )
    if not scopes or not set(scopes) <= set(_SCOPES):
        raise ConsumerError(f"A consumer needs at least one scope of: {', '.join(_SCOPES)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise ConsumerError("The expiry is in the past. Choose a later one, or leave it out.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    consumer = Consumer(
        name=plain,
        token_sha256=Consumer.digest(token),
        scopes=sorted(set(scopes), key=_SCOPES.index),
        expires_at=expires_at,
    )
    try:
        with transaction.atomic():
            consumer.save(force_insert=True)
    except IntegrityError:
        raise ConsumerError(
            f"A consumer named {plain!r} already exists, perhaps in another case. Choose another name."
        ) from None
    return consumer, token


def _scripts(name: str) -> set[str]:
    """Return the look-alike scripts that a name's letters come from (Unicode TS 39, mixed script)."""
    return {unicodedata.name(letter, "").partition(" ")[0] for letter in name} & _ALIKE


def revoke(consumer: Consumer) -> None:
    """Revoke the consumer's token permanently; a second call changes nothing."""
    now = timezone.now()
    if Consumer.objects.filter(pk=consumer.pk, revoked_at=None).update(revoked_at=now):
        consumer.revoked_at = now
