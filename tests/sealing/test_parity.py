"""What a seal lets pass is the stages of its version and what was allowed: in Python, in
PostgreSQL, in a plan.
"""

import pytest
from django.db import IntegrityError, transaction

from stageapp.models import StageAlias
from stageapp.normalization import plan as plans
from stageapp.sealing import seal, state
from stageapp.sealing.allowed import of_seal
from stageapp.vocabulary import snapshot
from tests.normalization.evidence import LABEL, ME, sql
from tests.sealing.conftest import TABLE, retire
from tests.vocabulary.hard_values import CHARACTERS, WORDS

ALLOWED = ["???", "Venture Debt", "acquired", "it's \\ 100 %"]


def passes_in_postgresql(value):
    try:
        with transaction.atomic():
            sql(f"UPDATE {TABLE} SET stage = %s", value)
    except IntegrityError:
        return False
    return True


def candidates():
    """Return stages, every spelling of theirs, what the rules find hard, and small changes of
    all.
    """
    known = [*snapshot.load().labels, *snapshot.load().labels.values(), *ALLOWED]
    known += StageAlias.objects.values_list("spelling", flat=True)
    changed = [
        form for value in known for form in (value.upper(), f" {value}", f"{value} ", value[:-1])
    ]
    values = dict.fromkeys([*known, *changed, *WORDS, *CHARACTERS])
    return [value for value in values if "\x00" not in value]  # which no column can hold


@pytest.fixture
def renewed(sealed, new_stage):
    """Seal, add one stage and retire another, and seal again: the version counts, not what was
    there at first.
    """
    sealed("seed", *ALLOWED[:1], allow=ALLOWED)
    new_stage("bridge")
    retire("series_d")
    return seal.seal(LABEL, **ME).seal


def test_python_and_postgresql_let_the_same_values_pass(renewed):
    passing, values = of_seal(renewed), candidates()
    assert len(values) > 200
    assert {value for value in values if passing.lets(value)} == {
        value for value in values if passes_in_postgresql(value)
    }
    assert set(passing.values) == {*snapshot.load().labels, *ALLOWED}
    assert "bridge" in passing.values
    assert "series_d" not in passing.values


def test_every_stage_of_the_version_means_itself_in_python_and_in_postgresql(sealed):
    stages = sealed().seal.stages
    assert [snapshot.load().normalize(stage).stage for stage in stages] == stages
    assert sql(
        "SELECT array_agg(normalize_stage(s) ORDER BY n) FROM unnest(%s::text[]) WITH ORDINALITY "
        "AS t(s, n)",
        stages,
    ) == [(stages,)]


def test_a_plan_of_a_sealed_column_changes_nothing(renewed, fill):
    fill(*of_seal(renewed).values)
    plan = plans.make_plan(LABEL, actor="tester")
    assert plans.changes(plan) == []
    assert set(plan.entries.filter(stage="").values_list("raw", flat=True)) == set(ALLOWED)


def test_the_words_of_a_refusal_say_what_passes(renewed):
    assert state.refusal_of(LABEL, "seed") == ""
    assert "accepts pre_seed, seed" in state.refusal_of(LABEL, "Seed")
    assert state.refusal_of(LABEL, None) == ""
