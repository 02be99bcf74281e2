"""How PostgreSQL carries out the statement of a batch: rows are found, and so locked, in key
order.
"""

import json

import pytest
from django.db import connection, transaction

from stageapp.normalization import batches, statements
from stageapp.targets.targets import resolve
from tests.normalization.evidence import LABEL, sql


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.mark.parametrize("pairs", [1, 2, 40, 400])
def test_rows_are_walked_by_the_primary_key_alone(fill, pairs):
    fill(*["Seed", "nobody knows", "SEED", "series-a"] * 1000)
    sql("INSERT INTO stageapp_fund (name) SELECT 'fund ' || n FROM generate_series(1, 9) AS n")
    funds = [fund for (fund,) in sql("SELECT id FROM stageapp_fund")]
    sql(
        "UPDATE stageapp_portfoliocompany SET fund_id = (%s::bigint[])[1 + id %% %s]",
        funds,
        len(funds),
    )
    sql(
        "UPDATE stageapp_portfoliocompany SET name = 'moved' WHERE id % 3 = 0"
    )  # the heap is not in key order any more
    sql("ANALYZE stageapp_portfoliocompany")
    olds = [f"Seed {number}" for number in range(pairs)]
    place = {"sweep": 0, "position": "", "number": 1, "lower": "", "upper": "", "size": 2000}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {batches._calls(batches._FORWARD)}")
        changes = {"sources": [""] * pairs, "olds": olds, "news": olds, "apart": []}
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statements.dry(resolve(LABEL))}", place | changes)
        found = cursor.fetchone()[0]
    [written] = [
        node
        for node in nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
        if node["Node Type"] == "ModifyTable"
        and node["Relation Name"] == "stageapp_portfoliocompany"
    ]
    [join] = written["Plans"][-1:]
    assert join["Node Type"] == "Hash Join"
    walked = join["Plans"][0]
    assert (walked["Node Type"], walked["Index Name"]) == (
        "Index Scan",
        "stageapp_portfoliocompany_pkey",
    )
    assert walked["Scan Direction"] == "Forward"
