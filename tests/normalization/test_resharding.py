"""Edges of shards are keys in the order of keys, whatever their texts look like."""

import pytest

from stageapp.audit import log
from stageapp.models import Fund, PortfolioCompany
from stageapp.models.batches import Direction
from stageapp.normalization import plan as plans
from stageapp.normalization import runs
from tests.normalization.evidence import LABEL, ME, sql


@pytest.mark.parametrize("workers", [2, 3, 5, 7])
def test_ranges_of_keys_with_more_and_fewer_digits_rise_and_are_even(engine, workers):
    fund = Fund.objects.create(name="first fund")
    sql(
        "INSERT INTO stageapp_portfoliocompany (id, fund_id, name, stage, sector, updated_at) "
        # from below 0 on
        "SELECT i - 3000, %s, 'c', 'SEED', '', now() FROM generate_series(1, 15000) i",
        fund.pk,
    )
    run = runs.start(plans.make_plan(LABEL, actor="tester").run, workers=workers, **ME)
    shards = run.checkpoints.filter(direction=Direction.FORWARD).order_by("shard")
    edges = [shard.upper for shard in shards][:-1]
    assert edges == sorted(edges, key=log.order)
    sizes = [
        PortfolioCompany.objects.filter(
            id__gt=int(shard.lower or -(10**9)), id__lte=int(shard.upper or 10**9)
        ).count()
        for shard in shards
    ]
    assert sum(sizes) == 15_000
    assert max(sizes) - min(sizes) <= 1
