import pytest

from tests.api.calls import JSON, post
from tests.finance.assuming import assume


@pytest.fixture
def caller(client_of, consumer, in_mode):
    in_mode("off")
    return client_of(consumer)


def simulate(caller, weights, **more):
    return post(caller, "monte_carlo", weights, **more)


def test_a_body_with_nothing_but_a_distribution_is_enough(caller):
    found = simulate(caller, {"seed": 1}).json()
    assert (found["fund_size"], found["runs"], found["seed"]) == ("100000000.00", 10_000, 0)
    assert found["stages"][0]["stage"] == "seed"
    assert sum(found["histogram"]["counts"]) == 10_000


def test_the_same_seed_gives_the_same_bytes(caller):
    bodies = {
        simulate(caller, {"Seed": 50, "growth": 50}, seed=7, runs=500).content for _ in range(3)
    }
    assert len(bodies) == 1
    assert simulate(caller, {"Seed": 50, "growth": 50}, seed=8, runs=500).content not in bodies


def test_spellings_of_a_stage_add_up(caller):
    one = simulate(caller, {"Seed": 30, "SEED": 30, "series-a": 40}, runs=300)
    other = simulate(caller, {"series_a": 0.4, "seed": 0.6}, runs=300)
    assert one.content == other.content


def test_the_weight_of_an_unknown_reaches_no_stage(caller):
    found = simulate(caller, {"seed": 0.25, "wat": 0.75}, runs=300).json()
    assert found["unallocated"] == 0.75
    assert [(part["stage"], part["weight"]) for part in found["stages"]] == [("seed", 0.25)]
    alone = simulate(caller, {"wat": 1}, runs=300).json()
    assert (alone["stages"], alone["mean"]) == ([], 1.0)


@pytest.mark.parametrize(
    "more",
    [
        {"runs": 0},
        {"runs": 100_001},
        {"runs": 1.5},
        {"runs": "10"},
        {"runs": True},
        {"runs": None},
        {"seed": -1},
        {"seed": 2**53 - 1 + 0.5},
        {"fund_size": 0},
        {"fund_size": 1.1e15},
        {"fund_size": "0.99"},
        {"fund_size": True},
        {"fund_size": []},
        {"extra": 1},
    ],
)
def test_refuses_what_is_out_of_bounds(more, caller):
    response = simulate(caller, {"seed": 1}, **more)
    assert response.status_code == 400
    assert [e["pointer"] for e in response.json()["errors"]] == [f"/{name}" for name in more]


@pytest.mark.parametrize(
    "more", [{"runs": 1}, {"seed": 2**53 - 1}, {"fund_size": 1}, {"fund_size": 10**15}]
)
def test_takes_the_bounds_themselves(more, caller):
    assert simulate(caller, {"seed": 1}, **({"runs": 10} | more)).status_code == 200


def test_the_assumptions_are_those_of_the_stage(caller):
    assume("seed", failure_rate=1)
    assert simulate(caller, {"seed": 1}, runs=100).json()["mean"] == 0


def test_assumptions_that_make_no_sense_are_told_apart_from_a_fault(caller):
    assume("seed", checked=False, failure_rate=3)
    response = simulate(caller, {"seed": 1})
    assert response.status_code == 503
    assert "failure_rate" in response.json()["detail"]


def test_asks_the_database_for_nothing_but_the_caller(caller, django_assert_num_queries):
    simulate(caller, {"seed": 1}, runs=10)
    with django_assert_num_queries(1):
        simulate(caller, {"seed": 1}, runs=10)


def test_takes_an_empty_json_object_as_lacking_the_distribution(caller):
    response = caller.post("/api/monte-carlo/simulate", "{}", content_type=JSON)
    assert [e["pointer"] for e in response.json()["errors"]] == ["/stage_distribution"]
