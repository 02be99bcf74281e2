"""Parse JSON bodies strictly: refuse what two parsers could understand differently.

Refused: other media types, charsets and content encodings; a body over the limit; deep nesting;
duplicate keys; NaN and Infinity; integers beyond 2**53 (RFC 7493, I-JSON); other numbers that no
double holds; NUL and lone surrogates, which PostgreSQL cannot store; trailing data.

A number with a fraction or an exponent becomes the decimal as written, never a binary float:
0.35 is 35 hundredths. Its length and exponent are bounded, and so are computations with it.
"""

import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from django.conf import settings
from django.http import QueryDict
from django.utils.http import parse_header_parameters
from rest_framework import serializers
from rest_framework.exceptions import ParseError, UnsupportedMediaType
from rest_framework.parsers import BaseParser

from stageapp.api.errors import BodyTooLarge, InvalidQuery
from stageapp.api.fields import StrictSerializer

MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
MAX_NUMBER_LENGTH = 100
LEAST_EXPONENT = -400  # of a number's first digit; a double ends at -324

# Whole strings are stepped over, so that brackets inside them do not count. Possessive, and with
# the closing quote optional: linear in any input.
_BRACKET_OR_STRING = re.compile(r'[\[\]{}]|"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class StrictJSONParser(BaseParser):
    """Parses `application/json` in UTF-8."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the decoded body.

        Raises:
            UnsupportedMediaType: it is not plain JSON in UTF-8.
            BodyTooLarge: it is longer than DATA_UPLOAD_MAX_MEMORY_SIZE.
            ParseError: it is not JSON, or JSON that is refused here.
        """
        check_content_type(media_type or "")
        if parser_context is not None:
            check_content_encoding(parser_context["request"].META.get("HTTP_CONTENT_ENCODING", ""))
        return decode(read_bounded(stream))


def check_content_type(value: str) -> None:
    """Refuse everything but application/json, without a charset or with utf-8."""
    try:
        kind, parameters = parse_header_parameters(value)
    except ValueError:
        raise UnsupportedMediaType(value[:100]) from None
    if kind != "application/json" or parameters.get("charset", "utf-8").lower() not in (
        "utf-8",
        "utf8",
    ):
        raise UnsupportedMediaType(value[:100], "Send application/json in UTF-8.")


def check_content_encoding(value: str) -> None:
    """Refuse compressed bodies: a small one may expand to a huge one."""
    if value.strip().lower() not in ("", "identity"):
        raise UnsupportedMediaType(value[:100], "Send the body without a Content-Encoding.")


def read_bounded(stream: IO[Any]) -> bytes:
    """Return the body after reading at most one byte beyond the limit."""
    bound = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = stream.read(bound + 1)
    if len(body) > bound:
        raise BodyTooLarge
    return body


def decode(body: bytes) -> Any:
    """Return the value of a JSON text; raises ParseError and nothing else."""
    try:
        text = body.decode("utf-8")
        _check_depth(text)
        value = _DECODER.decode(text)
    except UnicodeDecodeError as error:
        raise ParseError(f"The body is not UTF-8 (byte {error.start}).") from None
    except ValueError as error:
        raise ParseError(f"The body is not JSON: {error}.") from None
    # Raw control characters are no JSON, so only an escape can bring what must not be stored.
    if "\\u" in text:
        _check_strings(value)
    return value


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _BRACKET_OR_STRING.finditer(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(token[0], 0)
        if depth > MAX_DEPTH:
            raise ParseError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _check_strings(value: Any) -> None:
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            raise ParseError(
                "A string holds a NUL or half of a surrogate pair; leave such characters out."
            )
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_strings(key)
            _check_strings(item)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ParseError("An object contains one key twice; send each key once.")
    return members


def _integer(digits: str) -> int:
    # The length first: Python refuses to read an integer of thousands of digits.
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ParseError(
            f"An integer is beyond ±{MAX_INTEGER}, where JSON readers are no longer exact."
        )
    return int(digits)


def _decimal(digits: str) -> Decimal:
    if len(digits) > MAX_NUMBER_LENGTH:
        most = f"more than {MAX_NUMBER_LENGTH} characters"
        raise ParseError(f"A number has {most}; send fewer digits.")
    number = Decimal(digits)
    if "e" in digits or "E" in digits:  # else the length bounds it
        if not math.isfinite(float(number)):
            raise ParseError("A number is too large.")
        if number.adjusted() < LEAST_EXPONENT:
            raise ParseError("A number is too close to zero; send 0.")
    return number


def _constant(name: str) -> Any:
    raise ParseError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_decimal, parse_constant=_constant
)


# Read a query string: each parameter once, unless it is a list, and none that the endpoint does not
# know.


class NoQuery(StrictSerializer):
    """The query string of an endpoint without parameters."""


class PageQuery(StrictSerializer):
    """The query string of a paginated list."""

    page = serializers.RegexField(
        r"^[0-9]{1,9}\Z", required=False, help_text="from 1; 404 beyond the last page"
    )


def read_query(kind: type[serializers.BaseSerializer[Any]], sent: QueryDict) -> dict[str, Any]:
    """Return the validated parameters.

    Raises:
        InvalidQuery: a parameter is unknown, given twice, or out of bounds.
    """
    serializer = kind()
    fields = getattr(serializer, "fields", {})
    several = {name for name, field in fields.items() if isinstance(field, serializers.ListField)}
    if repeated := [
        name for name, values in sent.lists() if len(values) > 1 and name not in several
    ]:
        raise InvalidQuery({name: ["Give this parameter once."] for name in repeated})
    checked = kind(
        data={name: values if name in several else values[0] for name, values in sent.lists()}
    )
    if not checked.is_valid():
        raise InvalidQuery(dict(checked.errors))
    data: dict[str, Any] = checked.validated_data
    return data
