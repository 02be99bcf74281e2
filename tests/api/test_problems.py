import io

import pytest
from django.db import InterfaceError, OperationalError
from django.test import Client
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from tests.api.calls import JSON

PATH = "/api/allocations"
GOOD = b'{"stage_distribution":{"seed":1}}'


def problem(response, status, kind):
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    body = response.json()
    assert body["type"] == f"/problems/{kind}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


@pytest.fixture
def caller(client_of, consumer):
    return client_of(consumer)


@pytest.mark.parametrize(
    "call,status,kind",
    [
        (lambda c: c.get("/api/nowhere"), 404, "not-found"),
        (lambda c: c.post("/api/stages/", b"{}", content_type=JSON), 404, "not-found"),
        (lambda c: c.get("/api/portfolio/strategies/" + "9" * 5000), 404, "not-found"),
        (lambda c: c.get("/api/portfolio/strategies/" + "9" * 30), 404, "not-found"),
        (lambda c: c.get("/_ops/nowhere"), 404, "not-found"),
        (lambda c: c.get(PATH), 405, "method-not-allowed"),
        (lambda c: c.options(PATH), 405, "method-not-allowed"),
        (lambda c: c.get("/api/stages", HTTP_ACCEPT="text/html"), 406, "not-acceptable"),
        (lambda c: c.post(PATH, b"{", content_type=JSON), 400, "parse-error"),
        (lambda c: c.post(PATH, GOOD, content_type="text/plain"), 415, "unsupported-media-type"),
        (
            lambda c: c.post(PATH, GOOD, content_type=JSON, HTTP_CONTENT_ENCODING="gzip"),
            415,
            "unsupported-media-type",
        ),
        (
            lambda c: c.post(PATH, GOOD, content_type=JSON, HTTP_TRANSFER_ENCODING="chunked"),
            411,
            "length-required",
        ),
        (lambda c: c.post(PATH, b" " * 262_145, content_type=JSON), 413, "body-too-large"),
        (lambda c: c.post(PATH, {"a": "b"}), 415, "unsupported-media-type"),
    ],
)
def test_every_refusal_is_a_problem_document(call, status, kind, caller):
    problem(call(caller), status, kind)


def test_who_is_refused_as_unknown_is_told_how_to_come_in(client, db):
    response = client.get("/api/stages")
    problem(response, 401, "not-authenticated")
    assert response["WWW-Authenticate"] == 'Token realm="stage API"'


def test_an_invalid_request_names_every_place(caller):
    sent = {
        "fund_size": "x",
        "reserve_ratio": 2,
        "stage_distribution": [{"stage": "seed", "weight": "1"}],
    }
    body = problem(caller.post(PATH, sent, content_type=JSON), 400, "invalid-request")
    assert {e["pointer"] for e in body["errors"]} == {
        "/fund_size",
        "/reserve_ratio",
        "/stage_distribution/0/weight",
    }
    assert all(e["code"] and e["detail"] for e in body["errors"])


def test_an_answer_is_not_kept_by_a_cache(caller):
    assert caller.get("/api/stages")["Cache-Control"] == "no-store"
    assert caller.get(PATH)["Cache-Control"] == "no-store"


QUERYLESS = {
    "GET": ["/api/stages", "/api/deprecations", "/api/portfolio/strategies/1"],
    "POST": [
        "/api/allocations",
        "/api/monte-carlo/simulate",
        "/api/portfolio/strategies",
        "/api/stages/normalize",
    ],
    "PUT": ["/api/portfolio/strategies/1"],
    "PATCH": ["/api/portfolio/strategies/1"],
    "DELETE": ["/api/portfolio/strategies/1"],
}


@pytest.mark.parametrize(
    "method, path", [(method, path) for method in QUERYLESS for path in QUERYLESS[method]]
)
def test_a_query_parameter_that_an_endpoint_does_not_know_is_refused(method, path, caller):
    found = problem(
        caller.generic(method, f"{path}?format=xml", b"{}", JSON), 400, "invalid-request"
    )
    assert [(e["parameter"], e["code"]) for e in found["errors"]] == [("format", "unknown_field")]


def test_a_query_parameter_is_given_once(caller):
    found = problem(caller.get("/api/portfolio/strategies?page=1&page=1"), 400, "invalid-request")
    assert [e["parameter"] for e in found["errors"]] == ["page"]


def test_unknown_fields_are_refused_by_name(caller):
    sent = {"stage_distribution": {"seed": 1}, "a/b": 1, "mode": "off"}
    body = problem(caller.post(PATH, sent, content_type=JSON), 400, "invalid-request")
    assert [(e["pointer"], e["code"]) for e in body["errors"]] == [
        ("/a~1b", "unknown_field"),
        ("/mode", "unknown_field"),
    ]


def test_the_list_of_errors_is_bounded(caller):
    sent = {f"field {n}": 1 for n in range(1000)}
    body = problem(caller.post(PATH, sent, content_type=JSON), 400, "invalid-request")
    assert len(body["errors"]) == 200
    assert body["detail"].startswith("1000 parts are")


@pytest.mark.parametrize("body", ["null", "true", "0", '"x"', "[]", "[1,2]"])
def test_a_body_that_is_no_object_is_refused_as_a_whole(body, caller):
    found = problem(caller.post(PATH, body, content_type=JSON), 400, "invalid-request")
    assert [e["pointer"] for e in found["errors"]] == [""]


def test_an_empty_body_lacks_its_fields(caller):
    found = problem(caller.generic("POST", PATH), 400, "invalid-request")
    assert [(e["pointer"], e["code"]) for e in found["errors"]] == [
        ("/stage_distribution", "required")
    ]


def test_a_query_parameter_is_named_as_such(caller):
    found = problem(caller.get("/api/funds/1/companies?x=1&y=2"), 400, "invalid-request")
    assert [e["parameter"] for e in found["errors"]] == ["x", "y"]


@pytest.mark.parametrize("error", [OperationalError("password=secret"), InterfaceError("secret")])
def test_a_database_that_is_away_is_503(error, client, monkeypatch, caplog):
    def away(*_):
        raise error

    monkeypatch.setattr("stageapp.api.authentication.Consumer.digest", away)
    response = client.post(PATH, GOOD, content_type=JSON, HTTP_AUTHORIZATION="Token x")
    problem(response, 503, "unavailable")
    assert response["Retry-After"]
    assert "secret" not in response.content.decode() + caplog.text


def test_a_fault_is_logged_and_told_without_detail(caller, monkeypatch, caplog):
    def fail(*_):
        raise KeyError("secret")

    monkeypatch.setattr("stageapp.api.allocations.reserve_plan", fail)
    response = caller.post(PATH, GOOD, content_type=JSON)
    problem(response, 500, "server-error")
    assert b"secret" not in response.content
    assert "A view failed" in caplog.text


def test_a_broken_multipart_body_with_a_session_is_400(admin_user):
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=\x7f" + "b" * 300):
        response = client.generic("POST", PATH, b"--b\r\nnothing", content_type=kind)
        assert response.status_code in (400, 403)
        assert response["Content-Type"] == "application/problem+json"


def test_a_caller_that_goes_away_in_mid_body_is_400(caller):
    class Cut(io.BytesIO):
        def read(self, *_):
            raise OSError("connection reset")

    response = caller.post(
        PATH, content_type=JSON, **{"wsgi.input": Cut(), "CONTENT_LENGTH": "100"}
    )
    problem(response, 400, "bad-request")


def test_the_charset_of_a_get_does_not_decide_how_its_query_is_read(caller):
    response = caller.generic(
        "GET", "/api/funds/1/companies?q=%C3%A9", content_type="application/json; charset=rot13"
    )
    problem(response, 404, "not-found")


@bounds(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(
    st.binary(max_size=80) | st.text('[]{}":,stage_diribuonwh01.e\\u', max_size=60).map(str.encode)
)
def test_no_body_is_a_fault_of_the_server(caller, body):
    response = caller.post(PATH, body, content_type=JSON)
    assert response.status_code == 400
    assert response["Content-Type"] == "application/problem+json"
