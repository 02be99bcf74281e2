"""Versioned SQL objects: one file per group of objects and version, each with its undo, and each
used by exactly one migration.
"""

from pathlib import Path
from typing import Any

from django.db.migrations.operations import RunSQL

FOLDER = Path(__file__).parent


class RunSQLFile(RunSQL):
    """Run `<name>.sql` of this folder; `<name>_undo.sql` takes it back."""

    def __init__(self, name: str) -> None:
        self.name = name
        done, undone = FOLDER / f"{name}.sql", FOLDER / f"{name}_undo.sql"
        super().__init__(done.read_text("utf-8"), undone.read_text("utf-8"))

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return self.__class__.__name__, [self.name], {}

    def describe(self) -> str:
        return f"Run {self.name}.sql"
