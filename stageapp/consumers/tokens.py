"""API consumers and tokens. A token is shown once, at creation; only its digest is stored."""

import datetime
import secrets
from collections.abc import Collection

from django.db import IntegrityError, transaction
from django.utils import timezone

from stageapp.models.consumers import Consumer

TOKEN_BYTES = 32
_SCOPES = [scope for scope, _ in Consumer.SCOPES]


class ConsumerError(Exception):
    """A consumer that cannot be created; the text says what to do."""


def create(
    name: str, scopes: Collection[str], expires_at: datetime.datetime | None = None
) -> tuple[Consumer, str]:
    """Create a consumer and return it with its token, which cannot be read again later.

    Raises:
        ConsumerError: the name is empty or taken, a scope does not exist or none is given, or the
            expiry is in the past.
    """
    if not 1 <= len(name.strip()) <= 200 or not name.strip().isprintable():
        raise ConsumerError(
            "A consumer needs a name of 1 to 200 printable characters: the service or "
            "team that calls."
        )
    if not scopes or not set(scopes) <= set(_SCOPES):
        raise ConsumerError(f"A consumer needs at least one scope of: {', '.join(_SCOPES)}.")
    if expires_at is not None and expires_at <= timezone.now():
        raise ConsumerError("The expiry is in the past. Choose a later one, or leave it out.")
    token = secrets.token_urlsafe(TOKEN_BYTES)
    consumer = Consumer(
        name=name.strip(),
        token_sha256=Consumer.digest(token),
        scopes=sorted(set(scopes), key=_SCOPES.index),
        expires_at=expires_at,
    )
    try:
        with transaction.atomic():
            consumer.save(force_insert=True)
    except IntegrityError:
        raise ConsumerError(
            f"A consumer named {name.strip()!r} already exists. Choose another name."
        ) from None
    return consumer, token


def revoke(consumer: Consumer) -> None:
    """Revoke the consumer's token permanently; a second call changes nothing."""
    now = timezone.now()
    if Consumer.objects.filter(pk=consumer.pk, revoked_at=None).update(revoked_at=now):
        consumer.revoked_at = now
