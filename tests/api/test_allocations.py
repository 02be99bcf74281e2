from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from stageapp.models import Stage, StageAlias
from stageapp.vocabulary import snapshot
from tests.api.calls import post
from tests.finance.assuming import assume


@pytest.fixture
def caller(client_of, consumer, in_mode):
    in_mode("off")
    return client_of(consumer)


def allocate(caller, weights, **more):
    return post(caller, "allocations", weights, **more)


def test_splits_pro_rata_with_follow_on_reserves(caller):
    assume("seed", follow_on_share=Decimal("0.5"), follow_on_multiple=1)
    assume("series_a", follow_on_share=Decimal("0.25"), follow_on_multiple=1)
    found = allocate(
        caller, {"Seed": 60, "Series A": 30, "wat": 10}, fund_size="1000.00", reserve_ratio=0.2
    ).json()
    assert found == {
        "fund_size": "1000.00",
        "reserve_ratio": 0.2,
        "stages": [
            {"stage": "seed", "initial": "480.00", "need": "240.00", "reserve": "144.00"},
            {"stage": "series_a", "initial": "240.00", "need": "60.00", "reserve": "36.00"},
        ],
        "surplus": "0.00",
        "unallocated_initial": "80.00",
        "unallocated_reserve": "20.00",
        "coverage": 0.6,
    }


WEIGHTS = st.dictionaries(
    st.sampled_from(["Seed", "pre-seed", "Series A", "series_b", "growth", "wat", "none"]),
    st.floats(0, 1e6).map(lambda x: round(x, 3)),
    min_size=1,
).filter(lambda weights: sum(weights.values()) > 0)


@bounds(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(WEIGHTS, st.integers(0, 10**17), st.floats(0, 0.95))
def test_the_parts_make_the_whole_to_the_cent(caller, weights, cents, ratio):
    total = sum(weights.values())
    size = f"{Decimal(cents).scaleb(-2):.2f}"
    response = allocate(
        caller, {k: v / total for k, v in weights.items()}, fund_size=size, reserve_ratio=ratio
    )
    found = response.json()
    parts = [stage[name] for stage in found["stages"] for name in ("initial", "reserve")]
    parts += [found[name] for name in ("surplus", "unallocated_initial", "unallocated_reserve")]
    assert sum(map(Decimal, parts)) == Decimal(size) == Decimal(found["fund_size"])


@pytest.mark.parametrize(
    "size,read",
    [
        ("12.5", "12.50"),
        (12.5, "12.50"),
        (7, "7.00"),
        (0.1, "0.10"),
        (1e6, "1000000.00"),
        ("0", "0.00"),
        ("1000000000000000.00", "1000000000000000.00"),
    ],
)
def test_money_comes_as_a_string_or_a_number_and_goes_as_a_string(size, read, caller):
    assert allocate(caller, {"seed": 1}, fund_size=size).json()["fund_size"] == read


@pytest.mark.parametrize(
    "size",
    [
        "",
        "x",
        "-1",
        -1,
        "1.001",
        1.001,
        "1e5",
        "1_000",
        "١",
        " 1",
        "1\n",
        "NaN",
        "Infinity",
        True,
        None,
        [],
        {},
        "1000000000000000.01",
        "9" * 5000,
        1e16,
        1e-7,
    ],
)
def test_refuses_what_is_no_amount(size, caller):
    response = allocate(caller, {"seed": 1}, fund_size=size)
    assert response.status_code == 400
    assert [e["pointer"] for e in response.json()["errors"]] == ["/fund_size"]


@pytest.mark.parametrize("ratio", [-0.1, 0.96, "0.5", True, None])
def test_refuses_what_is_no_reserve_ratio(ratio, caller):
    response = allocate(caller, {"seed": 1}, reserve_ratio=ratio)
    assert [e["pointer"] for e in response.json()["errors"]] == ["/reserve_ratio"]


def test_a_follow_on_rule_that_makes_no_sense_is_told_apart_from_a_fault(caller):
    assume("growth", checked=False, follow_on_share=2)
    assert allocate(caller, {"growth": 1}).status_code == 503
    assert allocate(caller, {"seed": 1}).status_code == 200


def test_a_stage_without_assumptions_is_refused_by_name_and_the_others_are_not(caller):
    with snapshot.change(actor="petra", reason="a new stage"):
        Stage.objects.create(slug="series_z", label="Series Z", rank=95)
    snapshot.forget()
    with snapshot.change(actor="petra", reason="its spelling"):
        StageAlias.objects.create(spelling="z", key="z", stage=Stage.objects.get(slug="series_z"))
    snapshot.forget()
    response = allocate(caller, {"z": 1})
    assert (response.status_code, response.json()["type"]) == (409, "/problems/assumptions-missing")
    assert "series_z" in response.json()["detail"]
    assert allocate(caller, {"seed": 1, "z": 0}).status_code == 200
