"""Who may scrape, and who comes to the door of `/_ops/` at all."""

import pytest
from django.test import override_settings

TOKEN = "t" * 32
OUTSIDE = {"REMOTE_ADDR": "203.0.113.9"}
MODE = "/_ops/stage-validation/mode"


def bearer(token):
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


@pytest.mark.parametrize(
    "address, allowed", [("127.0.0.1", True), ("::1", True), ("10.0.0.1", False), ("", False)]
)
def test_only_this_machine_may_scrape_unless_more_is_set(client, db, address, allowed):
    assert client.get("/metrics", REMOTE_ADDR=address).status_code == (200 if allowed else 401)


def test_a_network_may_be_let_in(client, db, settings):
    settings.STAGE_OPS_NETWORKS = ["10.0.0.0/8"]
    assert client.get("/metrics", REMOTE_ADDR="10.1.2.3").status_code == 200
    assert client.get("/metrics", REMOTE_ADDR="127.0.0.1").status_code == 401


@pytest.mark.parametrize(
    "sign",
    ["X_FORWARDED_FOR", "X_FORWARDED_PROTO", "X_FORWARDED_HOST", "X_REAL_IP", "FORWARDED", "VIA"],
)
def test_what_came_through_a_proxy_nobody_told_us_of_is_not_from_this_machine(client, db, sign):
    assert client.get("/metrics", **{f"HTTP_{sign}": "127.0.0.1"}).status_code == 401


@pytest.mark.parametrize(
    "forwarded, status",
    [("127.0.0.1", 200), ("203.0.113.9", 401), ("127.0.0.1, 203.0.113.9", 401), ("", 401)],
)
def test_behind_a_trusted_proxy_the_address_it_saw_counts(client, db, settings, forwarded, status):
    settings.STAGE_TRUSTED_PROXIES = 1
    assert client.get("/metrics", HTTP_X_FORWARDED_FOR=forwarded).status_code == status


@pytest.mark.parametrize(
    "headers, status",
    [
        (bearer(TOKEN), 200),
        ({"HTTP_AUTHORIZATION": f"bearer  {TOKEN} "}, 200),
        (bearer("u" * 40), 200),
        (bearer(TOKEN[:-1]), 401),
        (bearer(TOKEN + "t"), 401),
        (bearer(""), 401),
        (bearer("short"), 401),
        (bearer("ü" * 32), 401),
        ({"HTTP_AUTHORIZATION": f"Token {TOKEN}"}, 401),
        ({"HTTP_AUTHORIZATION": TOKEN}, 401),
        ({}, 401),
    ],
)
def test_from_outside_one_of_the_tokens_is_needed(client, db, settings, headers, status):
    settings.STAGE_METRICS_TOKEN = f"{TOKEN} {'u' * 40} short"
    answer = client.get("/metrics", **OUTSIDE, **headers)
    assert answer.status_code == status
    assert status == 200 or (
        answer["WWW-Authenticate"].startswith("Bearer") and b"stage_" not in answer.content
    )


def test_without_a_token_set_no_token_lets_in(client, db):
    assert client.get("/metrics", **OUTSIDE, **bearer("")).status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_metrics_are_only_read(client, method):
    assert getattr(client, method)("/metrics").status_code == 405


@pytest.mark.parametrize("path", [MODE, "/_ops/nowhere", "/_ops/"])
@pytest.mark.parametrize("method", ["get", "put", "post"])
def test_outsiders_without_credentials_learn_nothing_of_ops(client, path, method):
    # Without the `db` fixture any query would fail here.
    answer = getattr(client, method)(path, **OUTSIDE)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert answer["WWW-Authenticate"] == 'Token realm="stage API"'


def test_a_token_with_the_scope_works_from_anywhere(client_of, consumer_named, in_mode):
    in_mode("warn")
    assert client_of(consumer_named("operator", "ops")).get(MODE, **OUTSIDE).status_code == 200


def test_a_session_of_an_operator_works_from_anywhere(admin_client, in_mode):
    in_mode("warn")
    assert admin_client.get(MODE, **OUTSIDE).status_code == 200


def test_a_network_alone_opens_nothing(client, db):
    assert client.get(MODE, REMOTE_ADDR="127.0.0.1").status_code == 401


@pytest.mark.parametrize("headers", [bearer(TOKEN), {"HTTP_AUTHORIZATION": "Token wrong"}])
def test_credentials_of_the_wrong_kind_are_refused_by_the_resource(client, db, headers):
    with override_settings(STAGE_METRICS_TOKEN=TOKEN):
        assert client.get(MODE, **OUTSIDE, **headers).status_code == 401


def test_the_rest_of_the_site_knows_no_such_door(client, db):
    assert client.get("/healthz", **OUTSIDE).status_code == 200
    assert client.get("/admin/login/", **OUTSIDE).status_code == 200
