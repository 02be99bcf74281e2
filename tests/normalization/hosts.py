"""Models of a host project, made for one test with their tables."""

from contextlib import contextmanager

from django.apps import apps
from django.db import connection

from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from tests.normalization.evidence import ME


@contextmanager
def tables(*models):
    """Make the tables of models in this order, and take tables and models away again."""
    managed = [model for model in models if not model._meta.proxy]
    made = []
    try:
        for model in managed:
            with connection.schema_editor() as editor:
                editor.create_model(model)
            made.append(model)
        yield
    finally:
        connection.ensure_connection()
        for model in reversed(made):
            with connection.cursor() as cursor:
                name = connection.ops.quote_name(model._meta.db_table)
                cursor.execute(f"DROP TABLE IF EXISTS {name} CASCADE")
        for model in models:
            del apps.all_models["stageapp"][model._meta.model_name]
        apps.clear_cache()


def begin(label):
    """Plan the target and start the run."""
    return runs.start(plans.make_plan(label, actor="tester").run, **ME)


def finish(label):
    """Plan and run the target to its end."""
    run = worker.advance(begin(label))
    assert run.state == State.DONE, run.last_error
    return run


def roll_back(run, **scope):
    """Undo a run, or a part of it."""
    return worker.advance(runs.request_rollback(run, **ME, **scope))
