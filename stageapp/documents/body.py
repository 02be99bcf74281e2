"""What every document is made of."""

from typing import Any

from rest_framework.serializers import CharField, FloatField, ListField, Serializer


class Body(Serializer[Any]):
    """A JSON object. Its fields say where each value comes from, and describe it."""

    def subject(self, instance: Any) -> Any:
        """Return what the fields read, given what the document is made of; None makes null."""
        return instance

    def to_representation(self, instance: Any) -> Any:
        subject = self.subject(instance)
        return None if subject is None else super().to_representation(subject)


class TextOrNull(CharField):
    """A text; null where it is empty."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_null=True, **options)

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value) or None


def texts(**options: Any) -> ListField:
    """A list of strings."""
    return ListField(child=CharField(), **options)


def share(**options: Any) -> FloatField:
    """A part of one whole, 0 to 1."""
    return FloatField(min_value=0, max_value=1, **options)
