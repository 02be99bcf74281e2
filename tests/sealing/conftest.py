"""A column that may be sealed and guarded, and is neither when the test is over."""

import psycopg
import pytest
from django.db import connection

from stageapp.models import Stage, StageAlias
from stageapp.sealing import seal
from stageapp.vocabulary import snapshot
from tests.normalization.conftest import (
    alias,
    done,
    elsewhere,
    engine,
    fill,
    started,
    transactional_db,
)
from tests.normalization.evidence import LABEL, ME, sql
from tests.normalization.test_targets import bare_a_of_desk, deals, foreign

__all__ = [
    "_nothing_in_force",
    "alias",
    "bare_a_of_desk",
    "deals",
    "done",
    "elsewhere",
    "engine",
    "fill",
    "foreign",
    "new_stage",
    "sealed",
    "started",
    "stranger",
    "transactional_db",
]

TABLE = "stageapp_portfoliocompany"
STAGES = [
    "pre_seed",
    "seed",
    "series_a",
    "series_b",
    "series_c",
    "series_d",
    "series_e_plus",
    "growth",
]


@pytest.fixture(autouse=True)
def _nothing_in_force(engine):
    """Take seals and guards off, as an operator without this program would."""
    yield
    for constraint in constraints():
        sql(f"ALTER TABLE {TABLE} DROP CONSTRAINT {constraint}")
    for (function,) in sql(
        "SELECT proname FROM pg_proc WHERE proname ~ '^stageapp_guard_[0-9a-f]{8}$'"
    ):
        sql(f"DROP FUNCTION {function} CASCADE")


@pytest.fixture
def sealed(fill):
    """Return a function that fills the table and seals it."""

    def make(*stages, **more):
        fill(*stages or ["seed"])
        return seal.seal(LABEL, **ME, **more)

    return make


@pytest.fixture
def new_stage(engine):
    """Return a function that adds a stage as a new vocabulary version; all goes again after the
    test.
    """

    def add(slug, rank=90):
        with snapshot.change(**ME):
            stage = Stage.objects.create(slug=slug, label=slug.title(), rank=rank)
            StageAlias.objects.create(spelling=slug, key=snapshot.normalize(slug).key, stage=stage)

    before = set(Stage.objects.values_list("slug", flat=True))
    yield add
    StageAlias.objects.exclude(stage__slug__in=before).delete()
    Stage.objects.exclude(slug__in=before).delete()
    Stage.objects.update(active=True)
    sql(
        "SET stageapp.prune = 'on'; DELETE FROM stageapp_vocabularyversion WHERE actor = "
        "'tester'; RESET stageapp.prune"
    )
    snapshot.forget()


@pytest.fixture
def stranger(engine):
    """Return a session of a role that may write companies, and has no other right on anything of
    ours.
    """
    at = connection.settings_dict
    place = {
        "host": at["HOST"],
        "port": at["PORT"],
        "dbname": at["NAME"],
        "password": at["PASSWORD"],
    }
    role = f"stranger_{at['NAME']}"
    with psycopg.connect(user="postgres", autocommit=True, **place) as root:
        root.execute(f"DROP ROLE IF EXISTS {role}")
        root.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{at['PASSWORD']}'")
        root.execute(f"GRANT SELECT, INSERT, UPDATE ON {TABLE} TO {role}")
        root.execute(f"GRANT {role} TO {at['USER']}")
        try:
            with psycopg.connect(user=role, autocommit=True, **place) as session:
                yield session
        finally:
            root.execute(f"DROP OWNED BY {role}")
            root.execute(f"DROP ROLE {role}")


def retire(slug):
    with snapshot.change(**ME):
        Stage.objects.filter(slug=slug).update(active=False)


def constraints():
    """Return the names of the built-in target's constraints of ours, as the catalogue has them."""
    found = sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND conname LIKE "
        "'stageapp_seal%%'",
        TABLE,
    )
    return sorted(name for (name,) in found)


def validated():
    found = sql(
        "SELECT convalidated FROM pg_constraint WHERE conrelid = %s::regclass AND conname LIKE "
        "'stageapp_seal%%'",
        TABLE,
    )
    return [is_valid for (is_valid,) in found]
