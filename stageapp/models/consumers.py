"""API callers: their tokens, what they send, and where they call from."""

import hashlib

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower


class Consumer(models.Model):
    """An API caller. Only the token's SHA-256 is stored; the token itself is shown once."""

    SCOPES = [
        ("read", "read: list and query"),
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
        constraints = [
            models.CheckConstraint(condition=~Q(scopes=[]), name="consumer_has_a_scope"),
            models.UniqueConstraint(Lower("name"), name="one_consumer_whatever_the_case"),
        ]

    def __str__(self) -> str:
        return self.name

    # DRF and Django read these from the caller of a request.
    is_authenticated = True
    is_anonymous = False
    is_active = True

    @staticmethod
    def digest(token: str) -> str:
        """Return the hexadecimal SHA-256 of a token, which is stored and looked up."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class ConsumerSighting(models.Model):
    """How many requests with a value of this key one consumer sent to one endpoint on one day.

    `key` is the value without its formatting, as in an alias; `UnknownEntry` says what it is for
    values that have none. `outcome` is the shadow verdict on the value, whatever the mode.
    """

    OUTCOMES = [(name, name) for name in ("canonical", "normalized", "unknown")]

    consumer = models.CharField(
        max_length=200, help_text="its name, which is also the source of the values it sends"
    )
    day = models.DateField(help_text="in UTC")
    endpoint = models.CharField(max_length=60)
    key = models.CharField(max_length=256)
    outcome = models.CharField(max_length=12, choices=OUTCOMES)
    count = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["consumer", "day", "endpoint", "key", "outcome"],
                name="one_count_per_sighting",
            )
        ]
        indexes = [models.Index(fields=["key", "day"]), models.Index(fields=["day"])]

    def __str__(self) -> str:
        return (
            f"{self.consumer} {self.day} {self.endpoint} {self.key!r}: {self.outcome} {self.count}"
        )


class ConsumerContact(models.Model):
    """Where one consumer calls one endpoint from: which program, which side of the network, since
    when.

    The program is a keyed hash of the User-Agent, empty if none was sent. Neither the User-Agent
    nor the address is stored.
    """

    NETWORKS = [(name, name) for name in ("internal", "external")]

    consumer = models.CharField(max_length=200, help_text="its name, as in what it sends")
    endpoint = models.CharField(max_length=60)
    agent_hash = models.CharField(max_length=16, blank=True)
    network = models.CharField(max_length=8, choices=NETWORKS)
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    requests = models.BigIntegerField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["consumer", "endpoint", "agent_hash", "network"], name="one_contact_each"
            )
        ]
        indexes = [models.Index(fields=["last_seen"])]

    def __str__(self) -> str:
        return (
            f"{self.consumer} {self.endpoint} {self.agent_hash or '–'} {self.network}: "
            f"{self.requests}"
        )
