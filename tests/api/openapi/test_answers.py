"""What is answered is what the document tells, in every mode; and what it tells of requests is
true.
"""

import json

import jsonschema
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from stageapp.api.distribution import MAX_ENTRIES, MAX_STAGE_LENGTH
from stageapp.api.openapi.document import document
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.webhook.sending import PATH
from tests.api import senders
from tests.api.calls import JSON, POSTS, SHAPES, post
from tests.api.openapi.conformance import check, schema_of
from tests.api.senders import bearing, deliver, signed

MODES = ["off", "warn", "enforce"]
NUL = chr(0)


@pytest.fixture
def caller(client_of, consumer):
    return client_of(consumer)


@pytest.fixture
def fund(db):
    fund = Fund.objects.create(name="Fund")
    for stage in ("seed", "Series-A", "??", ""):
        PortfolioCompany.objects.create(fund=fund, name=stage or "blank", stage=stage)
    return fund


def described(kind):
    return schema_of(document()["components"]["schemas"][kind])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", POSTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_distribution_is_answered_as_told(mode, label, shape, caller, in_mode):
    in_mode(mode)
    for weights in (
        {"seed": 1},
        {"Series-A": 40, "Seed": 60},
        {"Seires A": 0.5, "seed": 0.5},
        {"seed": 2},
        {},
    ):
        check(post(caller, label, weights, shape), POSTS[label][0], "post")


@pytest.mark.parametrize("mode", MODES)
def test_the_filter_is_answered_as_told(mode, caller, fund, in_mode):
    in_mode(mode)
    for query in (
        "",
        "?stage=seed&stage=Series A",
        "?stage=nonsense",
        "?page=2",
        "?stage=&ordering=-name",
        "?x=1",
    ):
        check(
            caller.get(f"/api/funds/{fund.pk}/companies{query}"), "/api/funds/{id}/companies", "get"
        )


@pytest.mark.parametrize("mode", MODES)
def test_a_strategy_is_answered_as_told_all_its_life(mode, caller, in_mode):
    in_mode(mode)
    one = "/api/portfolio/strategies/{id}"
    saved = post(caller, "strategies", {"Seed": 1}).json()
    address = f"/api/portfolio/strategies/{saved['id']}"
    for body in ({"name": "x"}, {}, {"stage_allocation": {"nonsense": 1}}, {"stage": 1}):
        check(caller.patch(address, body, content_type=JSON), one, "patch")
    check(
        caller.put(
            address, {"stage_allocation": [{"stage": "seed", "weight": 1}]}, content_type=JSON
        ),
        one,
        "put",
    )
    check(caller.get(address), one, "get")
    check(caller.get("/api/portfolio/strategies"), "/api/portfolio/strategies", "get")
    check(caller.delete(address), one, "delete")
    check(caller.get(address), one, "get")


def test_everything_else_is_answered_as_told(caller, consumer_named, client_of, client, in_mode):
    in_mode("warn")
    post(caller, "allocations", {"Series A": 0.5, "nonsense": 0.5})
    for path in ("/api/stages", "/api/deprecations"):
        check(caller.get(path), path, "get")
    values = {"values": ["Series-A ", "", "acquired", "x" * 256]}
    check(
        caller.post("/api/stages/normalize", values, content_type=JSON),
        "/api/stages/normalize",
        "post",
    )
    check(caller.get("/_ops/stage-validation/mode"), "/_ops/stage-validation/mode", "get")
    ops = client_of(consumer_named("ops", "ops"))
    check(ops.get("/_ops/stage-validation/mode"), "/_ops/stage-validation/mode", "get")
    for body in (
        {"mode": "enforce", "reason": "x"},
        {"mode": "off", "reason": "x", "expected_version": 9},
        {},
    ):
        check(
            ops.put("/_ops/stage-validation/mode", body, content_type=JSON),
            "/_ops/stage-validation/mode",
            "put",
        )


@pytest.mark.usefixtures("believed")
def test_the_webhook_is_answered_as_told(client, enforced):
    sent = senders.body()
    for headers in (signed(sent), signed(sent), bearing(), {}, signed(sent, "x.y")):
        check(deliver(client, sent, headers), PATH, "post")
    for wrong in (b"{}", b"no JSON"):
        check(deliver(client, wrong, signed(wrong, "msg_2")), PATH, "post")
    jsonschema.validate(json.loads(sent), described("AlertNotification"))


FITTING = st.dictionaries(
    st.text(st.characters(exclude_characters=NUL, exclude_categories=["Cs"]), max_size=30),
    st.just(1),
    min_size=1,
).map(lambda found: {stage: 1 / len(found) for stage in found})
WRONG = [
    [],
    {},
    "seed",
    1,
    None,
    [["seed", 1]],
    [{"stage": "seed"}],
    [{"stage": "seed", "weight": "1"}],
    [{"stage": "seed", "weight": 1, "x": 1}],
    [{"stage": 1, "weight": 1}],
    {"seed": -1},
    {"seed": 102},
    {"x" * (MAX_STAGE_LENGTH + 1): 1},
    {str(n): 1 for n in range(MAX_ENTRIES + 1)},
    {"seed": None},
    {"seed": True},
    {"a" + NUL: 1},
]


@bounds(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(FITTING, st.sampled_from(list(SHAPES)))
def test_what_fits_the_document_is_accepted(caller, weights, shape):
    body = {"stage_distribution": SHAPES[shape](weights)}
    jsonschema.validate(body, described("AllocationRequest"))
    assert caller.post("/api/allocations", body, content_type=JSON).status_code == 200


@pytest.mark.parametrize("wrong", WRONG, ids=lambda it: str(it)[:40])
def test_what_does_not_fit_is_refused(wrong, caller):
    body = {"stage_distribution": wrong}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, described("AllocationRequest"))
    assert caller.post("/api/allocations", body, content_type=JSON).status_code == 400


@pytest.mark.parametrize(
    "amount, fits",
    [
        ("0", True),
        ("0.01", True),
        ("12.340", True),
        ("1000000000000000", True),
        (10**15, True),
        (0.07, True),
        (5, True),
        ("", False),
        ("-1", False),
        ("1.234", False),
        ("1e3", False),
        ("1000000000000001", False),
        (10**15 + 1, False),
        (-1, False),
        (True, False),
        (None, False),
        ("9" * 16, False),
    ],
)
def test_amounts_are_bounded_as_told(amount, fits, caller):
    body = {"stage_distribution": {"seed": 1}, "fund_size": amount}
    if not isinstance(amount, float):  # a checker that divides floats finds no multiple of a cent
        validator = jsonschema.Draft202012Validator(described("AllocationRequest"))
        assert validator.is_valid(body) is fits
    assert (caller.post("/api/allocations", body, content_type=JSON).status_code == 200) is fits


@pytest.mark.parametrize(
    "seed, fits",
    [(2**53 - 1, True), (2**53, False), (7.0, True), (7.5, False), (-1, False), ("7", False)],
)
def test_integers_are_bounded_as_told(seed, fits, caller):
    body = {"stage_distribution": {"seed": 1}, "seed": seed, "runs": 1}
    assert jsonschema.Draft202012Validator(described("SimulationRequest")).is_valid(body) is fits
    assert (
        caller.post("/api/monte-carlo/simulate", body, content_type=JSON).status_code == 200
    ) is fits
