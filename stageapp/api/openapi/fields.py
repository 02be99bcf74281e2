"""How the API's own fields appear in the document: with true bounds and nothing beyond them."""

from typing import Any

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema

from stageapp.api.distribution import MAX_ENTRIES, MAX_STAGE_LENGTH
from stageapp.api.parsing import MAX_INTEGER
from stageapp.finance.allocations import MAX_TOTAL

Schema = dict[str, Any]
NO_NUL = "^[^\\x00]*$"
AMOUNT = r"^(?:[0-9]{1,15}(?:\.[0-9]{1,2}0{0,10})?|10{15}(?:\.0{1,12})?)$"
AMOUNT_FROM_ONE = AMOUNT.replace("[0-9]{1,15}", "[1-9][0-9]{0,14}", 1)
MAX_WEIGHT = 101  # all together make 1 or 100, within 1 %

STAGE: Schema = {"type": "string", "maxLength": MAX_STAGE_LENGTH, "pattern": NO_NUL}
WEIGHT: Schema = {"type": "number", "minimum": 0, "maximum": MAX_WEIGHT}
ENTRY: Schema = {
    "type": "object",
    "properties": {"stage": STAGE, "weight": WEIGHT},
    "required": ["stage", "weight"],
    "additionalProperties": False,
}
DISTRIBUTION: Schema = {
    "description": (
        "Weights by stage, in either shape. They must add up to 1 or 100, within 1 %; "
        "two spellings of one stage are added together, and the weight of an unknown "
        "stage stays unallocated."
    ),
    "oneOf": [
        {"title": "List", "type": "array", "items": ENTRY, "minItems": 1, "maxItems": MAX_ENTRIES},
        {
            "title": "Object",
            "type": "object",
            "additionalProperties": WEIGHT,
            "propertyNames": {"maxLength": MAX_STAGE_LENGTH, "pattern": NO_NUL},
            "minProperties": 1,
            "maxProperties": MAX_ENTRIES,
        },
    ],
}
MONEY: Schema = {
    "description": (
        "An amount with at most two decimals: a decimal string, exact at any size, or a number."
    ),
    "oneOf": [
        {"type": "string", "pattern": AMOUNT},
        {"type": "number", "minimum": 0, "maximum": int(MAX_TOTAL), "multipleOf": 0.01},
    ],
}


class DistributionSchema(OpenApiSerializerFieldExtension):
    """Both shapes of a distribution."""

    target_class = "stageapp.api.distribution.DistributionField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        return DISTRIBUTION


class MoneySchema(OpenApiSerializerFieldExtension):
    """An amount: a string in responses, a string or a number in requests."""

    target_class = "stageapp.api.fields.MoneyField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        least = self.target.min_value
        if not least:
            return MONEY
        text, number = MONEY["oneOf"]
        return {
            **MONEY,
            "description": f"{MONEY['description']} At least {least:.2f}.",
            "oneOf": [{**text, "pattern": AMOUNT_FROM_ONE}, {**number, "minimum": int(least)}],
        }


class NumberSchema(OpenApiSerializerFieldExtension):
    """A number, read as the decimal as written."""

    target_class = "stageapp.api.fields.NumberField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        return {
            "type": "number",
            "minimum": float(self.target.min_value),
            "maximum": float(self.target.max_value),
        }


class TextSchema(OpenApiSerializerFieldExtension):
    """A string without NUL, which PostgreSQL cannot store."""

    target_class = "stageapp.api.fields.TextField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        usual = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        return {**({} if self.target.allow_blank else {"minLength": 1}), **usual, "pattern": NO_NUL}


class IntegerSchema(OpenApiSerializerFieldExtension):
    """An integer that every JSON reader keeps exact."""

    target_class = "stageapp.api.fields.IntegerField"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: str) -> Schema:
        usual = auto_schema._map_serializer_field(self.target, direction, bypass_extensions=True)
        return {"maximum": MAX_INTEGER, **usual}


class StrictSchema(OpenApiSerializerExtension):
    """An object without additional properties."""

    target_class = "stageapp.api.fields.StrictSerializer"
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> Schema:
        usual = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        return {**usual, "additionalProperties": False}


class TokenScheme(OpenApiAuthenticationExtension):
    """A consumer's token."""

    target_class = "stageapp.api.authentication.ConsumerTokenAuthentication"
    name = "consumerToken"

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": (
                "`Token`, a space and the token; `manage.py consumers token` creates one."
            ),
        }


class SessionScheme(OpenApiAuthenticationExtension):
    """An operator's session."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "operatorSession"
    priority = 1  # before the library's own

    def get_security_definition(self, auto_schema: AutoSchema) -> Schema:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "An operator's admin session; write requests also need the header "
            "X-CSRFToken.",
        }
