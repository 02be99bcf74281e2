"""Python and PostgreSQL give one answer: what a value means, why it is unknown, and its key."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.text import reduce
from tests.vocabulary import hard_values
from tests.vocabulary.meanings import CASES

pytestmark = pytest.mark.django_db

# PostgreSQL's text holds neither NUL nor half a surrogate pair: no column can hold such a value.
storable = hard_values.values.filter(lambda raw: "\0" not in raw).filter(
    lambda raw: not any("\ud800" <= character <= "\udfff" for character in raw)
)
batches = st.lists(storable, min_size=25, max_size=75)
sources = st.sampled_from(["", "ledger", "elsewhere"])

ASK = (
    "SELECT stage, reason, key FROM unnest(%s::text[]) WITH ORDINALITY AS v (raw, n), "
    "explain_stage(raw, %s) ORDER BY n"
)


def in_sql(values, source=""):
    with connection.cursor() as cursor:
        cursor.execute(ASK, [list(values), source])
        return cursor.fetchall()


def in_python(values, source=""):
    meanings = [snapshot.normalize(raw, source) for raw in values]
    return [(meaning.stage, meaning.reason, meaning.key) for meaning in meanings]


@pytest.fixture
def ledger_aliases(db):
    """Give one source aliases of its own, one key a reason, and one stage an end."""
    stages = {stage.slug: stage for stage in Stage.objects.all()}
    declared = [
        ("A", "series_a", ""),
        ("Private Equity", "growth", ""),
        ("Seed", None, "ambiguous"),
    ]
    for spelling, slug, reason in declared:
        StageAlias.objects.create(
            spelling=spelling,
            key=reduce(spelling).key,
            source="ledger",
            stage=stages[slug] if slug else None,
            reason=reason,
        )
    StageAlias.objects.create(
        spelling="Late stage", key=reduce("Late stage").key, reason="ambiguous"
    )
    Stage.objects.filter(slug="series_d").update(active=False)
    snapshot.forget()


def test_the_table_of_meanings_holds_in_both():
    cases = [
        case
        for case in CASES
        if "\0" not in case[0] and not any("\ud800" <= c <= "\udfff" for c in case[0])
    ]
    answers = in_sql(raw for raw, _stage, _reason in cases)
    assert [
        (raw, stage, reason) for (raw, _, _), (stage, reason, _) in zip(cases, answers, strict=True)
    ] == cases
    assert answers == in_python(raw for raw, _stage, _reason in cases)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=batches)
def test_generated_values_mean_the_same_in_both(values):
    assert in_sql(values) == in_python(values)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=batches, source=sources)
def test_aliases_of_a_source_mean_the_same_in_both(ledger_aliases, values, source):
    values = [*values, "A", "Private Equity", "Seed", "Series D", "Late stage"]
    assert in_sql(values, source) == in_python(values, source)


def test_an_alias_belongs_to_its_source_alone(ledger_aliases):
    values = ["A", "private_equity", "Seed Round", "Series D", "Late stage"]
    ledger = [
        ("series_a", None),
        ("growth", None),
        (None, "ambiguous"),
        (None, "ambiguous"),
        (None, "ambiguous"),
    ]
    everybody = [
        (None, "ambiguous"),
        (None, "ambiguous"),
        ("seed", None),
        (None, "ambiguous"),
        (None, "ambiguous"),
    ]
    assert [answer[:2] for answer in in_sql(values, "ledger")] == ledger
    assert [answer[:2] for answer in in_sql(values, "elsewhere")] == everybody
    assert in_python(values, "ledger") == in_sql(values, "ledger")


def test_every_single_character_of_the_basic_plane_folds_alike():
    points = [p for p in range(1, 0x10000) if not 0xD800 <= p <= 0xDFFF]
    values = [f"seed{chr(p)}" for p in points if p % 7 == 0 or p < 0x3100]
    assert in_sql(values) == in_python(values)


@pytest.mark.full
@settings(max_examples=2000, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.lists(storable, min_size=50, max_size=100))
def test_a_hundred_thousand_generated_values_mean_the_same_in_both(values):
    assert in_sql(values) == in_python(values)


def test_null_is_blank_in_sql():
    with connection.cursor() as cursor:
        cursor.execute("SELECT normalize_stage(NULL), stage, reason, key FROM explain_stage(NULL)")
        assert cursor.fetchone() == (None, None, "blank", "")


@pytest.mark.parametrize("source", [None, ""])
def test_the_source_may_be_left_out_or_null(source):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT normalize_stage('Série A'), normalize_stage('Série A', %s)", [source]
        )
        assert cursor.fetchone() == ("series_a", "series_a")


def test_the_function_reads_the_real_tables_whatever_the_caller_puts_before_them():
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE stageapp_stagealias (id int, key text, source text, stage_id "
            "int, reason text)"
        )
        cursor.execute("SET LOCAL search_path = pg_temp")
        schema = connection.settings_dict.get("SCHEMA", "public")
        cursor.execute(f'SELECT "{schema}".normalize_stage(%s)', ["Seed"])
        assert cursor.fetchone() == ("seed",)
