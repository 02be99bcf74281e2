"""A database whose commits are real, so that threads and other processes see what a test does."""

import threading
from functools import partial

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

from stageapp.infrastructure import events
from stageapp.models import Fund, PortfolioCompany, StageAlias
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, work, worker
from stageapp.normalization.batches import Pace
from stageapp.normalization.factors import FACTORS
from stageapp.vocabulary import snapshot
from tests import shipped_vocabulary
from tests.normalization.evidence import LABEL, ME, sql

_KEPT = {
    "stage",
    "stagealias",
    "vocabularyversion",
    "assumptionchange",
    "foldingcharacter",
    "foldingrange",
    "textrule",
    "textword",
    "rolegrant",
}


@pytest.fixture
def transactional_db(django_db_setup, django_db_blocker):
    """Open the test database without a surrounding transaction.

    Unlike pytest-django's fixture of this name it does not empty every table, so the vocabulary
    that the migrations loaded stays.
    """
    with django_db_blocker.unblock():
        assert connection.settings_dict["NAME"] == settings.DATABASES["default"]["TEST"]["NAME"]
        _empty()
        shipped_vocabulary.ensure()
        yield
        _empty()
        connection.close()


@pytest.fixture
def engine(transactional_db, settings):
    """Run batches without a rest between them."""
    settings.STAGE_BATCH_PAUSE_SECONDS = 0


def _empty():
    """Empty the tables that hold rows or have given numbers; all sixty each time would be most
    of what a test costs.
    """
    models = [
        model for model in apps.get_app_config("stageapp").get_models() if model._meta.managed
    ]
    existing = set(connection.introspection.table_names())
    touched = " UNION ALL ".join(
        _if_touched(connection.ops.quote_name(model._meta.db_table), model._meta.pk)
        for model in models
        if model._meta.model_name not in _KEPT and model._meta.db_table in existing
    )
    with connection.cursor() as cursor:
        cursor.execute(touched)
        if names := ", ".join(name for (name,) in cursor.fetchall()):
            cursor.execute(f"TRUNCATE {names} RESTART IDENTITY CASCADE")


def _if_touched(table, key):
    numbered = (
        f"pg_sequence_last_value(pg_get_serial_sequence('{table}', "
        f"'{key.column}')::regclass) IS NOT NULL"
    )
    return f"SELECT '{table}' WHERE EXISTS (SELECT FROM {table}) OR {numbered}"


@pytest.fixture
def fill(engine):
    """Return a function that inserts one company for each stage given."""
    fund, _ = Fund.objects.get_or_create(name="first fund")

    def insert(*stages):
        PortfolioCompany.objects.bulk_create(
            PortfolioCompany(fund=fund, name="c", stage=s) for s in stages
        )
        return list(PortfolioCompany.objects.order_by("id").values_list("id", flat=True))

    return insert


@pytest.fixture
def started(fill):
    """Return a function that fills the table, plans it, and starts the run."""

    def start(*stages):
        if stages:
            fill(*stages)
        return runs.start(plans.make_plan(LABEL, actor="tester").run, **ME)

    return start


@pytest.fixture
def done(started):
    """Return a function that fills the table and runs a plan of it to its end."""

    def finish(*stages):
        run = worker.advance(started(*stages))
        assert run.state == State.DONE, run.last_error
        return run

    return finish


@pytest.fixture
def elsewhere(engine):
    """Return a function that calls another one in a thread with a connection of its own."""
    threads = []

    def call(function, *args):
        def work():
            try:
                function(*args)
            finally:
                connection.close()

        thread = threading.Thread(target=work, daemon=True)
        threads.append(thread)
        thread.start()
        return thread

    yield call
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a thread of the test hangs"


@pytest.fixture
def alias(engine):
    """Return a function that adds an alias as a new vocabulary version; both go again after the
    test.
    """
    made = []

    def add(spelling, slug, source=""):
        key = snapshot.normalize(spelling).key
        stage_id = StageAlias.objects.filter(stage__slug=slug).values_list("stage_id", flat=True)[0]
        with snapshot.change(**ME):
            made.append(
                StageAlias.objects.create(
                    spelling=spelling, key=key, stage_id=stage_id, source=source
                )
            )

    yield add
    StageAlias.objects.filter(pk__in=[one.pk for one in made]).delete()
    sql(
        "SET stageapp.prune = 'on'; DELETE FROM stageapp_vocabularyversion WHERE actor = "
        "'tester'; RESET stageapp.prune"
    )


@pytest.fixture
def retried(monkeypatch):
    """Collect what was logged of every retry."""
    seen = []
    monkeypatch.setattr(events, "batch_retried", lambda **fields: seen.append(fields))
    return seen


@pytest.fixture
def once_in_a_batch(engine):
    """Return a function that lets a session do something once, when all of a batch is written
    and not yet committed.
    """

    def plant(call):
        sql("CREATE SEQUENCE planted")  # what it counts stays, also when the batch is rolled back
        sql(
            "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
            f"nextval('planted') = 1 THEN PERFORM {call}; END IF; RETURN NULL; END $$; CREATE "
            "CONSTRAINT TRIGGER planted AFTER INSERT ON stageapp_batch DEFERRABLE INITIALLY "
            "DEFERRED FOR EACH ROW EXECUTE FUNCTION planted()"
        )

    yield plant
    sql("DROP FUNCTION IF EXISTS planted CASCADE; DROP SEQUENCE IF EXISTS planted")


@pytest.fixture
def batches_of_50(monkeypatch):
    """Begin with batches of 50 rows."""
    monkeypatch.setattr(work, "Pace", partial(Pace, size=50))


@pytest.fixture
def limits(settings):
    """Turn every factor off but those that are given."""

    def only(**wanted):
        settings.STAGE_HOLD = dict.fromkeys(FACTORS, 0) | wanted

    only()
    return only
