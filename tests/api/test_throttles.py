"""How often a caller may come."""

import pytest

from stageapp.api import throttles
from stageapp.infrastructure import rates
from tests.infrastructure.test_rates import Clock

PATH = "/api/stages"


@pytest.fixture
def clock(settings, monkeypatch):
    """Allow three requests a minute, one for strangers, by a clock that the test moves."""
    settings.STAGE_THROTTLE_PER_MINUTE, settings.STAGE_THROTTLE_ANONYMOUS_PER_MINUTE = 3, 1
    clock = Clock()
    for name in ("_callers", "_strangers"):
        monkeypatch.setattr(throttles, name, rates.TokenBuckets(100, clock))
    return clock


def statuses(client, times, **more):
    return [client.get(PATH, **more).status_code for _ in range(times)]


def test_a_consumer_that_comes_too_often_is_told_when_to_come_back(clock, client_of, consumer):
    client = client_of(consumer)
    assert statuses(client, 4) == [200, 200, 200, 429]
    refused = client.get(PATH)
    assert refused["Content-Type"] == "application/problem+json"
    assert refused["Retry-After"] == "20"
    assert refused.json()["type"] == "/problems/throttled"
    assert refused["Cache-Control"] == "no-store"
    clock.now += 20
    assert statuses(client, 2) == [200, 429]


def test_consumers_do_not_pay_for_each_other_though_they_call_from_one_address(
    clock, client_of, consumer_named
):
    loud, quiet = consumer_named("loud", "read"), consumer_named("quiet", "read")
    assert statuses(client_of(loud), 5)[-1] == 429
    assert statuses(client_of(quiet), 1) == [200]


def test_good_credentials_are_let_in_from_an_address_that_is_exhausted(
    clock, client, client_of, consumer
):
    assert statuses(client, 2) == [401, 429]
    assert statuses(client_of(consumer), 1) == [200]


def test_whoever_has_no_good_token_shares_the_bucket_of_its_address(clock, client, db):
    assert statuses(client, 1) == [401]
    assert statuses(client, 1, HTTP_AUTHORIZATION="Token guessed") == [429]
    assert statuses(client, 1, REMOTE_ADDR="192.0.2.1", HTTP_AUTHORIZATION="Token guessed") == [401]


def test_a_scope_that_is_missing_costs_as_much(clock, client_of, consumer_named):
    client = client_of(consumer_named("reader", "read"))
    codes = [
        client.post("/api/allocations", b"{}", content_type="application/json").status_code
        for _ in range(4)
    ]
    assert codes == [403, 403, 403, 429]


def test_operators_have_a_bucket_of_their_own(clock, admin_client):
    assert statuses(admin_client, 4) == [200, 200, 200, 429]


def test_the_health_of_a_process_may_be_asked_any_time(clock, client, db):
    assert [client.get("/healthz").status_code for _ in range(5)] == [200] * 5


def test_zero_is_no_limit(clock, settings, client_of, consumer):
    settings.STAGE_THROTTLE_PER_MINUTE = 0
    assert set(statuses(client_of(consumer), 20)) == {200}


@pytest.mark.parametrize(
    "one, other, together",
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "nonsense", True),
    ],
)
def test_one_customer_is_one_address_or_one_network_of_ipv6(one, other, together):
    assert (throttles.neighbourhood(one) == throttles.neighbourhood(other)) is together
