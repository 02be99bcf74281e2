"""Strict request fields: no numeric strings, no booleans as numbers, no unknown names."""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from stageapp.finance.allocations import AllocationError, to_cents

_MONEY = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,2}0{0,10})?")


class StrictSerializer(serializers.Serializer[Any]):
    """A serializer that refuses unknown fields."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping) and (
            strangers := [name for name in data if name not in self.fields]
        ):
            known = ", ".join(self.fields)
            refusal = [
                ErrorDetail(
                    f"There is no such field. The fields are: {known}.", code="unknown_field"
                )
            ]
            raise serializers.ValidationError(dict.fromkeys(strangers, refusal))
        return super().to_internal_value(data)


class NumberField(serializers.Field[Decimal, Any, float, Any]):
    """A JSON number, kept as the decimal as written."""

    default_error_messages = {"invalid": "A valid number is required."}

    def __init__(self, *, min_value: Decimal, max_value: Decimal, **options: Any) -> None:
        super().__init__(**options)
        self.min_value, self.max_value = min_value, max_value
        self.validators += [MinValueValidator(min_value), MaxValueValidator(max_value)]

    def to_internal_value(self, data: Any) -> Decimal:
        if type(data) not in (int, Decimal):
            self.fail("invalid")
        return Decimal(data)

    def to_representation(self, value: Decimal) -> float:
        return json_number(value)


class IntegerField(serializers.IntegerField):
    """A JSON number without a fraction; JSON treats 1.0 as the same number as 1."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) not in (int, Decimal) or data != int(data):
            self.fail("invalid")
        return int(data)


class FlagField(serializers.BooleanField):
    """JSON's true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class TextField(serializers.CharField):
    """A JSON string, kept unchanged."""

    def __init__(self, **options: Any) -> None:
        super().__init__(trim_whitespace=False, **options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return data


class MoneyField(serializers.Field[Decimal, Any, str, Any]):
    """An amount in whole cents: a decimal string, exact at any size, or a JSON number."""

    default_error_messages = {
        "invalid": 'Send an amount such as "2500000.00", with at most two decimals.'
    }

    def __init__(self, *, min_value: Decimal = Decimal("0.00"), **options: Any) -> None:
        super().__init__(**options)
        self.min_value = min_value
        self.validators += [MinValueValidator(min_value)]

    def to_internal_value(self, data: Any) -> Decimal:
        text = f"{data:f}" if type(data) in (int, Decimal) else data
        if not isinstance(text, str) or not _MONEY.fullmatch(text):
            self.fail("invalid")
        amount = Decimal(text)
        try:
            to_cents(amount)
        except AllocationError as error:
            raise serializers.ValidationError(str(error), code="invalid") from error
        return amount

    def to_representation(self, value: Decimal) -> str:
        """Return the amount with two decimals."""
        return f"{value:.2f}"


def json_number(value: Decimal | Fraction) -> float:
    """Return the nearest double, as the last step before a response."""
    return float(value)
