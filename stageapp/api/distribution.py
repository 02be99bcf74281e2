"""The field for a distribution over stages: [{"stage", "weight"}, …] or {stage: weight}.

A single field does all of it: a serializer per entry would cost a hundred times as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from stageapp.api.errors import escape
from stageapp.finance.weights import Shares, WeightsError, checked, share_out
from stageapp.vocabulary.snapshot import Meaning

MAX_ENTRIES = 200
MAX_STAGE_LENGTH = 256
_MEMBERS = frozenset({"stage", "weight"})


@dataclass(frozen=True)
class Entry:
    """One stage as sent: its place in the body, its spelling and its weight."""

    pointer: str
    raw: str
    weight: Any  # a number, once it is checked: int or Decimal, as it was sent


@dataclass(frozen=True)
class Distribution:
    """A distribution with valid structure and weights; its stages are not resolved yet."""

    entries: tuple[Entry, ...]

    @property
    def values(self) -> list[tuple[str, str]]:
        """(JSON pointer, raw value) pairs, for the decision."""
        return [(entry.pointer, entry.raw) for entry in self.entries]

    @property
    def as_sent(self) -> list[dict[str, Any]]:
        """What was sent, in the list shape."""
        return [{"stage": entry.raw, "weight": entry.weight} for entry in self.entries]

    def shares(self, meanings: Sequence[Meaning]) -> Shares:
        """Return the shares by stage; `meanings` are in the order of the entries."""
        entries = zip(self.entries, meanings, strict=True)
        return share_out([(entry.raw, meaning.stage, entry.weight) for entry, meaning in entries])

    def check_weights(self) -> None:
        """Raise WeightsError if the weights cannot be shared out, whatever the stages mean."""
        checked([entry.weight for entry in self.entries])


class DistributionField(serializers.Field[Distribution, Any, Any, Any]):
    """A distribution; refuses bad structure and bad weights in every mode."""

    default_error_messages = {
        "shape": 'Send a list of {"stage": …, "weight": …} or an object of stage: weight.',
        "too_many": f"Send at most {MAX_ENTRIES} stages.",
        "entry": 'Send {"stage": …, "weight": …} and nothing else.',
        "stage": f"A stage is a string of at most {MAX_STAGE_LENGTH} characters.",
    }

    def to_internal_value(self, data: Any) -> Distribution:
        if not isinstance(data, list | dict):
            self._refuse("shape")
        if len(data) > MAX_ENTRIES:
            self._refuse("too_many")
        entries = []
        for index, item in enumerate(data if isinstance(data, list) else data.items()):
            if isinstance(item, tuple):
                (stage, weight), pointer = item, escape(item[0])
            elif isinstance(item, dict) and item.keys() == _MEMBERS:
                stage, weight, pointer = item["stage"], item["weight"], f"{index}/stage"
            else:
                self._refuse("entry", index)
            if not isinstance(stage, str) or len(stage) > MAX_STAGE_LENGTH:
                self._refuse("stage", index)
            entries.append(Entry(f"/{self.field_name}/{pointer}", stage, weight))
        distribution = Distribution(tuple(entries))
        try:
            distribution.check_weights()
        except WeightsError as error:
            detail: Any = [ErrorDetail(error.message, code=error.code)]
            if error.index is not None and isinstance(data, list):
                detail = {str(error.index): {"weight": detail}}
            elif error.index is not None:
                detail = {list(data)[error.index]: detail}
            raise serializers.ValidationError(detail) from error
        return distribution

    def _refuse(self, code: str, index: int | None = None) -> NoReturn:
        detail = [ErrorDetail(str(self.error_messages[code]), code=code)]
        raise serializers.ValidationError(detail if index is None else {str(index): detail})
