"""Versioned SQL objects: one file per object and version, each used by exactly one migration."""

from pathlib import Path
from typing import Any

from django.db.migrations.operations import RunSQL

FOLDER = Path(__file__).parent


class RunSQLFile(RunSQL):
    """Run one file of this folder; `reverse` names the file that undoes it. Either may be a
    statement, or empty.
    """

    def __init__(self, name: str, *, reverse: str, **kwargs: Any) -> None:
        super().__init__(_read(name), _read(reverse), **kwargs)
        self.name, self.reverse = name, reverse

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Return how a migration file writes this operation."""
        return self.__class__.__name__, [self.name], {"reverse": self.reverse}

    def describe(self) -> str:
        """Return what `migrate` prints."""
        return f"Run {self.name or self.reverse}"


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8") if name.endswith(".sql") else name
