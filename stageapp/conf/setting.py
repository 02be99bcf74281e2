"""One row of the table of settings: reading it, checking it, saying what it may be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from django.conf import settings as django_settings

T = TypeVar("T")

SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "y", "on", "ok"), True),
    **dict.fromkeys(("0", "false", "no", "n", "off"), False),
}


@dataclass(eq=False)
class Setting(Generic[T]):
    """One row. Its type is that of the default, its name that of the attribute after `STAGE_`.

    `usually` tells the default where that depends on something else, `example` is a value for
    .env.example where the default shows nothing. Reading the attribute reads Django's settings.
    """

    default: T
    meaning: str
    unit: str = ""
    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf
    choices: tuple[str, ...] = ()
    name: str = ""
    usually: str = ""
    example: str = ""
    site: bool = False  # of the site that hosts the application, not of the application
    secret: bool = False  # never shown, not even where it is wrong

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.name = self.name or f"STAGE_{attribute.upper()}"

    def __get__(self, instance: object, owner: type) -> T:
        value: Any = getattr(django_settings, self.name, self.default)
        if isinstance(self.default, dict):  # what is not named keeps its default
            return cast(T, self.default | {name: float(limit) for name, limit in value.items()})
        return cast(T, type(cast(Any, self.default))(value))

    def parse(self, text: str) -> Any:
        """Return what the text of an environment variable means; ValueError if it means nothing."""
        match self.default:
            case bool():
                if text.lower() not in SWITCH:
                    raise ValueError(text)
                return SWITCH[text.lower()]
            case int() | float():
                return type(self.default)(text)
            case list():
                return [part.strip() for part in text.split(",") if part.strip()]
            case dict():
                pairs = [part.partition("=") for part in text.split(",") if part.strip()]
                return {name.strip(): float(limit) for name, _, limit in pairs}
        return next((choice for choice in self.choices if choice.lower() == text.lower()), text)

    def takes(self, value: object) -> bool:
        """Return whether the value has the right type and lies within the bounds."""
        match self.default:
            case bool():
                return isinstance(value, int) and value in (0, 1)
            case int() | float():
                kinds = (int, float) if isinstance(self.default, float) else (int,)
                return (
                    isinstance(value, kinds)
                    and not isinstance(value, bool)
                    and math.isfinite(value)
                    and self.above < value <= self.most
                    and self.least <= value
                )
            case list():
                return isinstance(value, list | tuple) and all(isinstance(it, str) for it in value)
            case dict():
                return isinstance(value, Mapping) and all(
                    name in self.default
                    and isinstance(limit, int | float)
                    and 0 <= limit < math.inf
                    for name, limit in value.items()
                )
        return isinstance(value, str) and (not self.choices or value in self.choices)

    @property
    def allowed(self) -> str:
        """Return what it may be, in words; empty where any text will do."""
        match self.default:
            case bool():
                return "1 or 0"
            case list():
                return "a list, separated by commas"
            case dict():
                return f"name=limit, separated by commas, of {', '.join(self.default)}; 0 or more"
            case int() | float():
                if math.isfinite(self.above):
                    most = f", at most {self.most:g}" if math.isfinite(self.most) else ""
                    return f"more than {self.above:g}{most}"
                return f"{self.least:g} " + (
                    f"to {self.most:g}" if math.isfinite(self.most) else "or more"
                )
        return " or ".join(self.choices)

    def refusal(self, value: object) -> str:
        """Return which value it does not take, and what it may be instead."""
        whole = "a whole number, " if type(self.default) is int else ""
        unit = f", in {self.unit}" if self.unit else ""
        said = "is of the wrong kind" if self.secret else f"is {value!r}"
        return f"{self.name} {said}. Set it to {whole}{self.allowed or 'a text'}{unit}."

    def written(self, value: object) -> str:
        """Return a value as one writes it into the environment."""
        match value:
            case bool():
                return str(int(value))
            case float():
                return f"{value:g}"
            case dict():
                return ",".join(f"{name}={limit:g}" for name, limit in value.items())
            case list():
                return ",".join(value)
        return str(value)
