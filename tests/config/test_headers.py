"""What every answer tells browsers."""

import pytest

PAGES = [
    "/admin/login/",
    "/api/docs/",
    "/api/schema/",
    "/api/stages",
    "/api/nowhere",
    "/problems/",
    "/nowhere",
    "/healthz",
    "/static/stageapp/admin.css",
]


@pytest.fixture(params=PAGES)
def answer(request, client, db):
    answer = client.get(request.param, HTTP_ORIGIN="https://elsewhere.example")
    yield answer
    answer.close()


def test_nothing_is_loaded_from_elsewhere_and_nobody_frames_us(answer):
    policy = dict(
        part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";")
    )
    assert policy.pop("img-src", "'self' data:") == "'self' data:"  # the icons of Swagger UI alone
    assert policy == {
        "default-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    assert answer["X-Frame-Options"] == "DENY"


def test_only_the_docs_may_hold_images_in_their_style_sheet(client, db):
    found = {
        path for path in PAGES[:-1] if "img-src" in client.get(path)["Content-Security-Policy"]
    }
    assert found == {"/api/docs/"}


def test_the_other_protections_are_there(answer):
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


def test_no_other_origin_is_let_in(answer):
    assert [name for name in answer.headers if name.lower().startswith("access-control")] == []


def test_a_preflight_opens_nothing(client, db):
    preflight = client.options(
        "/api/allocations",
        HTTP_ORIGIN="https://elsewhere.example",
        HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST",
    )
    assert preflight.status_code >= 400
    assert [name for name in preflight.headers if name.lower().startswith("access-control")] == []


@pytest.mark.parametrize(
    "path", ["/api/stages", "/api/nowhere", "/_ops/nowhere", "/api/schema/", "/api/docs/"]
)
def test_no_answer_of_the_api_is_kept_by_a_cache(path, client, db):
    assert "no-store" in client.get(path)["Cache-Control"]
