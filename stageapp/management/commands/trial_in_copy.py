"""`manage.py trial_in_copy`: the worker process of `normalization run --trial`."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from stageapp.backups import disposable
from stageapp.normalization import trial_in_copy
from stageapp.normalization.statements import Change
from stageapp.targets.errors import NormalizationError


class Command(BaseCommand):
    """Read a JSON request on stdin, work in this database, answer one JSON document per line."""

    help = (
        "Internal part of `normalization run --trial`. It refuses every database that is "
        "not a disposable copy."
    )
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the trial.

        Raises:
            CommandError: this database is not disposable; nothing was read or written.
        """
        connection.ensure_connection()
        if not disposable.is_disposable(connection.connection):
            raise CommandError(
                "This database is not a disposable copy. `normalization run --trial` creates one."
            )
        asked = json.load(sys.stdin)
        changes = [Change(*change) for change in asked["changes"]]

        def tell(phase: str, done: int, whole: int) -> None:
            self._answer({"phase": phase, "done": done, "whole": whole})

        try:
            result = trial_in_copy.carry_out(
                asked["target"], asked["percent"], changes, asked["entries"], tell
            )
        except NormalizationError as refusal:
            result = {"refused": str(refusal)}
        self._answer(result)

    def _answer(self, document: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(document))
        self.stdout.flush()
