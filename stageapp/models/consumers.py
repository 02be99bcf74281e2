"""API callers and their tokens."""

import hashlib

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class Consumer(models.Model):
    """An API caller. Only the token's SHA-256 is kept; the token itself is shown once."""

    SCOPES = [
        ("read", "read: list and look up"),
        ("write", "write: send stages"),
        ("ops", "ops: lower the mode"),
    ]

    name = models.CharField(max_length=200, unique=True)
    token_sha256 = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=10, choices=SCOPES))
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=~Q(scopes=[]), name="consumer_has_a_scope")]

    def __str__(self) -> str:
        return self.name

    # DRF and Django ask these of whoever made a request.
    is_authenticated = True
    is_anonymous = False
    is_active = True

    @staticmethod
    def digest(token: str) -> str:
        """Return the SHA-256 of a token in hex, the form that is stored and looked up."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
