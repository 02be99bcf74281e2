"""A process of the product under measurement: it takes orders line by line, as JSON, and answers
what each took.

from tests.benchmarks import speed_process; speed_process.serve(say)
"""

import json
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.core.management import call_command
from django.db import connection, models, transaction

from stageapp.audit import log as audit
from stageapp.models import PortfolioCompany
from stageapp.models.normalization import Run
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from stageapp.targets.errors import RunBusy

LABEL = "stageapp.PortfolioCompany.stage"
ME = {"actor": "benchmark", "reason": "a benchmark"}


class LoggedChange(models.Model):
    """The audit log that one writes without thinking: a row for each change."""

    run = models.BigIntegerField()
    row_key = models.BigIntegerField(db_index=True)
    old = models.TextField()
    new = models.TextField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "stageapp"


def migrate() -> dict[str, Any]:
    """Make the product's tables, and the naive log's."""
    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        editor.create_model(LoggedChange)
    return {}


def plan() -> dict[str, Any]:
    """Make a plan."""
    made = plans.make_plan(LABEL, actor="benchmark")
    return {
        "to_change": made.rows_to_change,
        "total": made.rows_total,
        "estimated": made.estimated_seconds,
    }


def start(shards: int, pause: float | None) -> dict[str, Any]:
    """Start the planned run; `pause` None is the default's."""
    run = Run.objects.get()
    Run.objects.update(pause_seconds=pause)
    began = time.time()
    runs.start(run, workers=shards, **ME)
    return {"began": began}


def undo() -> dict[str, Any]:
    """Ask for the rollback of the run."""
    began = time.time()
    runs.request_rollback(Run.objects.get(), **ME)
    return {"began": began}


def advance() -> dict[str, Any]:
    """Work on the run as one worker, to its end."""
    before = _peak()
    with suppress(RunBusy):  # another worker verifies
        worker.advance(Run.objects.get())
    return {"peak_before": before, "peak": _peak()}


def ended() -> dict[str, Any]:
    """Return when the run last came into each of its states, and what its batches took at most."""
    run = Run.objects.get()
    longest = run.batches.values("direction").annotate(
        longest=models.Max("seconds"), rows=models.Avg("scanned")
    )
    return {
        "state": run.state,
        "error": run.last_error,
        "at": {move.new_state: move.created_at.timestamp() for move in run.moves.all()},
        "longest": {found["direction"]: found["longest"] for found in longest.order_by()},
        "batch_rows": {found["direction"]: float(found["rows"]) for found in longest.order_by()},
    }


def loop(up_to: int) -> dict[str, Any]:
    """Do what a typical Django loop does, on the rows with a key up to this one."""
    stage_of = {change.old: change.new for change in plans.changes(Run.objects.get().plan)}
    rows = PortfolioCompany.objects.filter(stage__in=stage_of, id__lte=up_to).order_by("id")
    began, changed = time.perf_counter(), 0
    chunk: list[PortfolioCompany] = []
    for row in rows.iterator(chunk_size=2000):
        chunk.append(row)
        if len(chunk) == 2000:
            changed += _write(chunk, stage_of)
            chunk = []
    changed += _write(chunk, stage_of)
    return {"rows": changed, "seconds": time.perf_counter() - began}


def _write(chunk: list[PortfolioCompany], stage_of: dict[str, str]) -> int:
    log = [
        LoggedChange(run=1, row_key=row.pk, old=row.stage, new=stage_of[row.stage]) for row in chunk
    ]
    for row in chunk:
        row.stage = stage_of[row.stage]
    with transaction.atomic():
        PortfolioCompany.objects.bulk_update(chunk, ["stage"])
        LoggedChange.objects.bulk_create(log)
    return len(chunk)


def save(above: int, rows: int) -> dict[str, Any]:
    """Save so many rows one by one, without any log, each in a transaction of its own."""
    stage_of = {change.old: change.new for change in plans.changes(Run.objects.get().plan)}
    found = PortfolioCompany.objects.filter(stage__in=stage_of, id__gt=above).order_by("id")[:rows]
    began, saved = time.perf_counter(), 0
    for row in found.iterator(chunk_size=2000):
        row.stage = stage_of[row.stage]
        row.save()
        saved += 1
    return {"rows": saved, "seconds": time.perf_counter() - began}


def history(keys: int) -> dict[str, Any]:
    """Return the ms that the history of one row takes, for so many rows at random."""
    last = PortfolioCompany.objects.latest("id").pk
    took, found = [], 0
    for key in random.Random(1).sample(range(1, last), keys):
        began = time.perf_counter()
        found += len(list(audit.entries(row_key=str(key), target=LABEL)))
        took.append((time.perf_counter() - began) * 1000)
    return {"median_ms": statistics.median(took), "max_ms": max(took), "entries": found}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


ORDERS = {
    order.__name__: order
    for order in (migrate, plan, start, undo, advance, ended, loop, save, history)
}


def serve(say: Callable[..., None]) -> None:
    """Carry out what stdin asks for, until it ends."""
    say(ready=True)
    for line in sys.stdin:
        asked = json.loads(line)
        say(**ORDERS[asked.pop("do")](**asked))
