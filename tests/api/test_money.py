"""Money through the whole API, held against a model of fractions that shares no code with it."""

import csv
import json
import random
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

import stageapp
from stageapp.models import Strategy
from tests.api.calls import JSON

EXPONENTS = range(2, 16)  # of the fund's size
CASES_EACH = 60
SPELLINGS = {
    "Pre Seed": "pre_seed",
    "seed": "seed",
    "Series-A": "series_a",
    "series b": "series_b",
    "Séries C": "series_c",
    "series_d": "series_d",
    "growth": "growth",
    "wat": None,
    "Acquired": None,
}


@pytest.fixture
def caller(client_of, consumer, in_mode):
    in_mode("off")
    return client_of(consumer)


@pytest.fixture(scope="module")
def needs():
    """Return what each stage's shipped follow-on rule needs of one unit of initial money."""
    table = Path(stageapp.__file__).parent / "vocabulary" / "assumptions_v1.tsv"
    with table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    rules = {row["slug"]: (row["follow_on_share"], row["follow_on_multiple"]) for row in rows}
    return {slug: Fraction(share) * Fraction(most) for slug, (share, most) in rules.items()}


def apportion(quotas):
    """Round down; give what is left, one by one, to the largest remainder, the first of equals."""
    given = [quota.numerator // quota.denominator for quota in quotas]
    left = list(range(len(quotas)))
    while sum(given) < sum(quotas):
        best = left[0]
        for place in left[1:]:
            if quotas[place] - given[place] > quotas[best] - given[best]:
                best = place
        left.remove(best)
        given[best] += 1
    return given


def model(size, ratio, weights, needs):
    """Return what docs/finance.md says, in text; all comes as text and becomes fractions."""
    cents, ratio = Fraction(size) * 100, Fraction(ratio)
    sent = [(SPELLINGS[spelling], Fraction(weight)) for spelling, weight in weights.items()]
    whole = sum(weight for _, weight in sent)
    share = {}
    for stage, weight in sent:
        if stage:
            share[stage] = share.get(stage, 0) + weight / whole
    stages = sorted(share)
    parts = [*map(share.get, stages), 1 - sum(share.values())]
    reserve_pool, initial_pool = apportion([cents * ratio, cents * (1 - ratio)])
    *initial, unallocated = apportion([initial_pool * part for part in parts])
    *ours, unallocated_reserve = apportion([reserve_pool * part for part in parts])
    need = [int(money * needs[stage]) for stage, money in zip(stages, initial, strict=True)]
    reserve = need
    if sum(need) > sum(ours):
        reserve = apportion([Fraction(one * sum(ours), sum(need)) for one in need])
    rows = zip(stages, initial, need, reserve, strict=True)
    return {
        "stages": {stage: tuple(map(text, row)) for stage, *row in rows},
        "surplus": text(sum(ours) - sum(reserve)),
        "unallocated_initial": text(unallocated),
        "unallocated_reserve": text(unallocated_reserve),
    }


def text(cents):
    return f"{cents // 100}.{cents % 100:02}"


def asked(caller, size, ratio, weights):
    """Send the numbers as they are written, and return the answer in the model's form."""
    entries = ",".join(f"{json.dumps(spelling)}:{weight}" for spelling, weight in weights.items())
    body = f'{{"fund_size":"{size}","reserve_ratio":{ratio},"stage_distribution":{{{entries}}}}}'
    response = caller.post("/api/allocations", body, content_type=JSON)
    assert response.status_code == 200, (body, response.content)
    found = response.json()
    named = ("surplus", "unallocated_initial", "unallocated_reserve")
    rows = found["stages"]
    return {
        "stages": {row["stage"]: (row["initial"], row["need"], row["reserve"]) for row in rows},
        **{name: found[name] for name in named},
    }


def a_case(chance, exponent):
    """Return size, ratio and weights as text: of few digits, of many, and as doubles print."""
    most = 10 ** (exponent + 2)
    cents = chance.choice([most, chance.randrange(most // 10, most)])
    ratio = chance.choice(
        ["0", "0.5", "0.95", f"{chance.uniform(0, 0.95):.2f}", repr(chance.uniform(0.001, 0.95))],
    )
    spellings = chance.sample(sorted(SPELLINGS), chance.randint(1, len(SPELLINGS)))
    parts = [chance.randint(1, 1000) for _ in spellings]
    kind = chance.choice(["percent", "double", "long"])
    if kind == "percent":
        parts = [max(1, round(100 * part / sum(parts))) for part in parts]
        parts[0] += 100 - sum(parts)
        if parts[0] < 0:
            parts = [100, *[0] * (len(parts) - 1)]
        weights = list(map(str, parts))
    elif kind == "double":
        weights = [repr(part / sum(parts)) for part in parts]
    else:
        weights = [f"{Decimal(part) / sum(parts):.25f}" for part in parts]
    return text(cents), ratio, dict(zip(spellings, weights, strict=True))


def test_every_cent_agrees_with_the_model_from_a_hundred_to_ten_to_the_fifteenth(
    caller,
    needs,
    figure,
):
    chance = random.Random(26)
    cases = [a_case(chance, exponent) for exponent in EXPONENTS for _ in range(CASES_EACH)]
    differing = [case for case in cases if asked(caller, *case) != model(*case, needs)]
    figure(
        "allocations beside the model of fractions, cases and differing",
        (len(cases), len(differing)),
    )
    assert len(cases) >= 798
    assert differing == []


def test_the_need_is_the_products_of_decimals(caller):
    body = {"stage_distribution": {"pre_seed": 1}, "fund_size": "1000000.00", "reserve_ratio": 0.5}
    [stage] = caller.post("/api/allocations", body, content_type=JSON).json()["stages"]
    assert stage == {
        "stage": "pre_seed",
        "initial": "500000.00",
        "need": "350000.00",
        "reserve": "350000.00",
    }


def test_half_a_cent_on_each_side_goes_to_the_stage_that_sorts_first(caller):
    found = asked(caller, "0.05", "0", {"seed": "0.7", "Series-A": "0.3"})
    assert {stage: row[0] for stage, row in found["stages"].items()} == {
        "seed": "0.04",
        "series_a": "0.01",
    }


def test_a_large_amount_keeps_every_cent(caller):
    found = asked(
        caller,
        "1000000000000000.00",
        "0",
        {"seed": "0.7", "Series-A": "0.2", "growth": "0.1"},
    )
    assert {stage: row[0] for stage, row in found["stages"].items()} == {
        "seed": "700000000000000.00",
        "series_a": "200000000000000.00",
        "growth": "100000000000000.00",
    }


@pytest.mark.parametrize("size", ["999999999999999.99", "90071992547409.93", "0.10"])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("path", ["/api/allocations", "/api/monte-carlo/simulate"])
def test_simulation_and_allocation_take_and_give_money_alike(path, size, quote, caller):
    if path.endswith("simulate") and size == "0.10":
        size = "1.10"  # a simulated fund has at least 1
    body = f'{{"fund_size":{quote}{size}{quote},"stage_distribution":{{"seed":1}}}}'
    assert caller.post(path, body, content_type=JSON).json()["fund_size"] == size


@pytest.mark.parametrize("path", ["/api/allocations", "/api/monte-carlo/simulate"])
@pytest.mark.parametrize(
    "size",
    ["1.001", "1e16", "-1", "1e-7", '"1e5"', '"NaN"', "1" + "0" * 16, "true", "null"],
)
def test_simulation_and_allocation_refuse_what_is_no_amount(path, size, caller):
    body = f'{{"fund_size":{size},"stage_distribution":{{"seed":1}}}}'
    response = caller.post(path, body, content_type=JSON)
    assert response.status_code == 400
    # An integer beyond 2**53 is refused as JSON already.
    if response.json()["type"] != "/problems/parse-error":
        assert [error["pointer"] for error in response.json()["errors"]] == ["/fund_size"]


def test_a_strategy_keeps_weights_digit_by_digit_and_shares_that_make_one(caller):
    sent = '{"stage_allocation":[{"stage":"seed","weight":0.1234567890123456789},'
    sent += '{"stage":"wat","weight":0.4},{"stage":"growth","weight":0.4765432109876543211}]}'
    made = caller.post("/api/portfolio/strategies", sent, content_type=JSON)
    strategy = Strategy.objects.get(pk=made.json()["id"])
    assert [entry["weight"] for entry in strategy.raw_allocation] == [
        Decimal("0.1234567890123456789"),
        Decimal("0.4"),
        Decimal("0.4765432109876543211"),
    ]
    assert sum(strategy.allocation.values()) + strategy.unallocated == 1
    assert strategy.allocation == {
        "seed": Decimal("0.123456789012346"),
        "growth": Decimal("0.476543210987654"),
    }
    assert strategy.unallocated == Decimal("0.4")
    answered = json.loads(made.content, parse_float=Decimal)
    assert sum(answered["stage_allocation"].values()) + answered["unallocated"] == 1


def test_a_third_is_answered_so_that_the_shares_still_make_one(caller):
    sent = '{"stage_distribution":{"seed":0.33,"growth":0.33,"Series A":0.33},"runs":10}'
    answer = json.loads(
        caller.post("/api/monte-carlo/simulate", sent, content_type=JSON).content,
        parse_float=Decimal,
    )
    weights = [stage["weight"] for stage in answer["stages"]]
    assert sum(weights) + answer["unallocated"] == 1
    assert max(weights) - min(weights) == Decimal("1e-15")
