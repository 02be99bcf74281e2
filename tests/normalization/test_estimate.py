"""A plan says how long a run would take, from rows that are changed and rolled back."""

import time

import pytest
from django.db import connection, transaction

from stageapp.normalization import batches, plan
from stageapp.normalization.plan import make_plan
from tests.normalization.evidence import LABEL, column_md5, sql


def planned():
    return make_plan(LABEL, actor="tester")


def test_it_is_the_sample_scaled_to_all_rows(fill, monkeypatch):
    fill(*["Seed", "seed"] * 1500)
    sampled, real = [], batches.dry

    def dry(*args):
        sampled.append(real(*args))
        return sampled[-1]

    monkeypatch.setattr(batches, "dry", dry)
    estimated = planned().estimated_seconds
    warm_up, sample = sampled
    assert (warm_up.scanned, sample.scanned, sample.changed) == (200, 800, 400)
    assert estimated == sample.seconds * 1500 / 400


def test_it_leaves_no_trace(fill):
    fill(*["Seed "] * 1200)
    before = column_md5()
    planned()
    assert column_md5() == before
    assert (
        sql("SELECT count(*) FROM stageapp_batch")
        == sql("SELECT count(*) FROM stageapp_normalizationlog")
        == [(0,)]
    )


@pytest.mark.parametrize(
    "stages", [["Seed"], ["seed"] * 1500 + ["Seed"] * 3, ["Seed"] * 200 + ["seed"] * 900]
)
def test_few_rows_to_change_are_enough(fill, stages):
    fill(*stages)
    assert planned().estimated_seconds > 0


def test_it_is_zero_where_nothing_would_change(fill):
    fill("seed", "nobody knows")
    assert planned().estimated_seconds == 0


def test_a_locked_row_costs_the_estimate_and_not_the_plan(fill, elsewhere):
    fill(*["Seed"] * 10)
    locked, over = [], []

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT id FROM stageapp_portfoliocompany FOR UPDATE")
            locked.append(True)
            while not over:
                time.sleep(0.01)

    elsewhere(hold)
    while not locked:
        time.sleep(0.01)
    try:
        plan = planned()
    finally:
        over.append(True)
    assert plan.estimated_seconds is None
    assert plan.rows_to_change == 10


def test_its_rows_are_at_most_a_thousand():
    assert plan.WARM_UP_ROWS + plan.SAMPLE_ROWS <= 1000
