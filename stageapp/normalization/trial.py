"""Try a plan on a disposable copy of the database, made from the newest verified backup.

The engine runs in its own process whose only database is the copy, so that it cannot touch the
live one.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import psycopg
from django.conf import settings
from django.utils import timezone

from stageapp import conf
from stageapp.backups import evidence, postgres, rehearse
from stageapp.backups.errors import BackupError
from stageapp.backups.progress import Report, silent
from stageapp.embedded import EmbeddedError
from stageapp.infrastructure import events
from stageapp.models.backups import Backup
from stageapp.models.normalization import Plan
from stageapp.normalization import plan as plans
from stageapp.targets.errors import NormalizationError

_SHOWN = 2000  # characters of what the process printed before it failed
_TO_DO = "Make one: `manage.py backup create`, then `manage.py backup verify`."
# In the copy nobody has to be asked, and no other work has to be let through.
_IN_THE_COPY = {
    "STAGE_REQUIRE_BACKUP": "0",
    "STAGE_TWO_PERSON_RULE": "0",
    "STAGE_BATCH_PAUSE_SECONDS": "0",
    "STAGE_REFRESHER": "0",
}


class TrialRefused(NormalizationError):
    """There is no copy to try the plan on, or it cannot predict anything about this plan."""


def trial(plan: Plan, percent: float, *, actor: str, report: Report = silent) -> dict[str, Any]:
    """Run the plan on a sample of a copy, verify, roll back and compare; return the result.

    `percent` (0 to 100) of the rows are selected by a hash of their key, hence the same rows each
    time, plus the first row of each planned spelling. `passed` is true if everything matched the
    plan and was restored bit for bit.

    Raises:
        TrialRefused: no backup is verified, it has another schema or vocabulary, or there is no
            room for a copy.
    """
    backup, began = _backup_for(plan), time.monotonic()
    try:
        with rehearse.restored_copy(backup.name, report) as (manifest, copy):
            names = ("source", "raw", "stage", "reason", "rows")
            entries = [
                {name: getattr(entry, name) for name in names} for entry in plan.entries.all()
            ]
            asked = {
                "target": plan.target,
                "percent": percent,
                "changes": plans.changes(plan),
                "entries": entries,
            }
            result = _in_copy(copy, asked, report)
    except (BackupError, EmbeddedError, psycopg.Error) as error:
        raise TrialRefused(f"No copy could be made for the trial: {error}") from None
    document = {
        "plan": plan.hash,
        "target": plan.target,
        "percent": percent,
        "backup": manifest.name,
        "taken_at": manifest.taken_at.isoformat(),
        "data_age_seconds": round((timezone.now() - manifest.taken_at).total_seconds(), 1),
        **result,
        **_estimate(plan, result),
        "seconds_in_all": round(time.monotonic() - began, 1),
    }
    events.trial_ended(
        plan=plan.hash,
        backup=backup.name,
        passed=document["passed"],
        rows=document["rows"],
        seconds=document["seconds_in_all"],
        actor=actor,
    )
    return document


def _backup_for(plan: Plan) -> Backup:
    """Return the newest verified backup, if it matches this plan."""
    if conf.settings.backup_adapter:
        raise TrialRefused(
            "Backups are made by an external backup system here; a trial needs one made "
            "by `manage.py backup`."
        )
    verified = Backup.objects.filter(name__in=evidence.verified_names(), origin="own")
    backup = next((one for one in verified if evidence.in_place(one)), None)
    if backup is None:
        raise TrialRefused(
            f"A trial needs a copy from a verified backup, and there is none. {_TO_DO}"
        )
    if backup.schema != evidence.schema_now():
        raise TrialRefused(
            f"The schema has changed since the newest verified backup, {backup.name}. {_TO_DO}"
        )
    if backup.vocabulary_version != plan.vocabulary_version:
        raise TrialRefused(
            f"The plan has vocabulary version {plan.vocabulary_version}, the newest "
            f"verified backup has version {backup.vocabulary_version}. If the plan is "
            f"newer: {_TO_DO} If not, make a new plan."
        )
    return backup


def _estimate(plan: Plan, result: dict[str, Any]) -> dict[str, Any]:
    """Return the estimated duration of the full run: work at the sample's rate, plus pauses."""
    if not result["rate"]:
        return {
            "rows_of_plan": plan.rows_total,
            "estimated_seconds": None,
            "estimated_pause_seconds": None,
        }
    work = plan.rows_total / result["rate"]
    rests = work / conf.settings.batch_seconds * conf.settings.batch_pause_seconds
    return {
        "rows_of_plan": plan.rows_total,
        "estimated_seconds": round(work + rests, 1),
        "estimated_pause_seconds": round(rests, 1),
    }


def _in_copy(copy: postgres.Parameters, asked: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run the trial in a process on the copy, relay its progress, and return its result."""
    result: dict[str, Any] = {}
    with _process(copy, asked) as said:
        for line in said:
            told = json.loads(line)
            if "phase" in told:
                report(told["phase"], told["done"], told["whole"])
            else:
                result = told
    if "refused" in result or not result:
        raise TrialRefused(
            result.get("refused", "The trial's process ended without a result. Try again.")
        )
    return result


@contextlib.contextmanager
def _process(copy: postgres.Parameters, asked: dict[str, Any]) -> Iterator[IO[str]]:
    """Run `manage.py trial_in_copy` with the copy as its only database; yield its output."""
    with tempfile.TemporaryFile("w+") as question, tempfile.TemporaryFile("w+") as complaints:
        json.dump(asked, question)
        question.seek(0)
        # Nothing here may lead to the live database, not even through a file that names it.
        ours = _IN_THE_COPY | {"DATABASE_URL": f"postgres:///{copy['dbname']}"}
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.removesuffix("_FILE") not in ours
        }
        command = [sys.executable, str(Path(settings.BASE_DIR) / "manage.py"), "trial_in_copy"]
        with subprocess.Popen(  # noqa: S603  a list of words: no shell ever reads them
            command,
            env=kept | postgres.environment(copy) | ours,
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                if process.stdout is None:
                    raise TrialRefused("The trial's process has no output to read.")
                yield process.stdout
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            complaints.seek(0)
            raise TrialRefused(
                f"The trial failed ({process.returncode}): {complaints.read()[-_SHOWN:].strip()}"
            )
