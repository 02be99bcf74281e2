"""Read a query string: each parameter once, unless it is a list, and none that the endpoint does not know."""

from typing import Any

from django.http import QueryDict
from rest_framework import serializers

from stageapp.api.errors import InvalidQuery
from stageapp.api.fields import StrictSerializer


class NoQuery(StrictSerializer):
    """The query string of an endpoint that takes none."""


class PageQuery(StrictSerializer):
    """The query string of a list in pages."""

    page = serializers.RegexField(r"^[0-9]{1,9}\Z", required=False, help_text="from 1; 404 beyond the last")


def read_query(kind: type[serializers.BaseSerializer[Any]], sent: QueryDict) -> dict[str, Any]:
    """Return the validated parameters.

    Raises:
        InvalidQuery: a parameter is unknown, given twice, or out of bounds.
    """
    serializer = kind()
    fields = getattr(serializer, "fields", {})
    several = {name for name, field in fields.items() if isinstance(field, serializers.ListField)}
    if repeated := [name for name, values in sent.lists() if len(values) > 1 and name not in several]:
        raise InvalidQuery({name: ["Give this parameter once."] for name in repeated})
    checked = kind(data={name: values if name in several else values[0] for name, values in sent.lists()})
    if not checked.is_valid():
        raise InvalidQuery(dict(checked.errors))
    found: dict[str, Any] = checked.validated_data
    return found
