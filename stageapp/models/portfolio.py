"""The built-in data: funds, their companies, and saved strategies."""

import json
from decimal import Decimal
from typing import Any

from django.db import models

from stageapp.models.consumers import Consumer


class ExactEncoder(json.JSONEncoder):
    """Writes decimals as JSON numbers, digit by digit, so that PostgreSQL keeps them exactly."""

    def encode(self, o: Any) -> str:
        if isinstance(o, dict):
            members = (f"{json.dumps(key)}:{self.encode(member)}" for key, member in o.items())
            return f"{{{','.join(members)}}}"
        if isinstance(o, list):
            return f"[{','.join(map(self.encode, o))}]"
        return str(o) if isinstance(o, Decimal) else super().encode(o)


class ExactDecoder(json.JSONDecoder):
    """Reads numbers with a fraction as exact decimals."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "parse_float": Decimal})


class Fund(models.Model):
    name = models.CharField(max_length=200, unique=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class PortfolioCompany(models.Model):
    """A portfolio company. `stage`, the built-in target, is free text until it is normalized."""

    fund = models.ForeignKey(Fund, on_delete=models.PROTECT, related_name="companies")
    name = models.TextField()
    stage = models.TextField(blank=True, default="")
    sector = models.TextField(blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name_plural = "portfolio companies"
        ordering = ["id"]
        indexes = [models.Index(fields=["fund", "id"])]

    def __str__(self) -> str:
        return self.name


class Strategy(models.Model):
    """A saved stage allocation: what was sent, and its meaning at that time."""

    name = models.CharField(max_length=200)
    consumer = models.ForeignKey(Consumer, null=True, blank=True, on_delete=models.SET_NULL)
    raw_allocation = models.JSONField(
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text="[{stage, weight}] as sent; a stage JSON-escaped where needed",
    )
    allocation = models.JSONField(
        encoder=ExactEncoder,
        decoder=ExactDecoder,
        help_text="{canonical stage: share of 1}",
    )
    unallocated = models.DecimalField(
        max_digits=16,
        decimal_places=15,
        default=Decimal(0),
        help_text="share of 1 that went to unknown stages",
    )
    vocabulary_version = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "strategies"
        ordering = ["-created_at", "-id"]

    def __str__(self) -> str:
        return self.name
