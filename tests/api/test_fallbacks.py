import pytest
from django.urls import path
from hypothesis import given
from hypothesis import strategies as st

from stageapp.api import urls
from stageapp.api.fallbacks import resource_of


def fail(request):
    raise ZeroDivisionError("secret")


urlpatterns = [path("api/fail", fail), path("fail", fail), *urls.urlpatterns]
handler400 = "stageapp.api.fallbacks.bad_request"
handler404 = "stageapp.api.fallbacks.not_found"
handler500 = "stageapp.api.fallbacks.server_error"


@pytest.fixture
def outside(settings, client):
    settings.ROOT_URLCONF = __name__
    client.raise_request_exception = False
    return client


@pytest.mark.parametrize("debug", [True, False])
def test_no_such_address_under_the_api_is_a_problem_even_when_debugging(debug, outside, settings):
    settings.DEBUG = debug
    response = outside.post("/api/nowhere")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_no_such_address_elsewhere_is_a_page(outside):
    response = outside.get("/nowhere")
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (404, "text/html")


@pytest.mark.parametrize(
    "address,kind", [("/api/fail", "application/problem+json"), ("/fail", "text/html")]
)
def test_a_fault_outside_the_resources_says_nothing_of_itself(address, kind, outside):
    response = outside.get(address)
    assert (response.status_code, response["Content-Type"].split(";")[0]) == (500, kind)
    assert b"secret" not in response.content


@pytest.mark.parametrize(
    "address,kind", [("/api/stages", "application/problem+json"), ("/api", "text/html")]
)
def test_a_forged_host_is_refused(address, kind, outside):
    response = outside.get(address, HTTP_HOST="evil\x00.example")
    assert (response.status_code, response["Content-Type"].split(";")[0]) in (
        (400, kind),
        (401, kind),
        (404, kind),
    )


@pytest.mark.parametrize(
    "path, resource",
    [
        ("/api/monte-carlo/simulate", "monte_carlo"),
        ("/api/portfolio/strategies", "strategies"),
        ("/api/portfolio/strategies/12", "strategies"),
        ("/api/funds/1/companies", "companies"),
        ("/api/allocations", "allocations"),
        ("/api/stages", "stages"),
        ("/api/stages/normalize", "normalize"),
        ("/api/deprecations", "deprecations"),
        ("/_ops/stage-validation/mode", "mode"),
        ("/api/funds/x/companies", "no_such_resource"),
        (f"/api/funds/{'9' * 5000}/companies", "no_such_resource"),
        ("/healthz", None),
        ("/admin/", None),
        ("api/stages", None),
        ("*", None),
        ("", None),
    ],
)
def test_a_path_of_the_api_has_the_name_its_callers_are_noted_under(path, resource):
    assert resource_of(path) == resource


@given(st.text())
def test_any_path_can_be_asked(path):
    assert resource_of(path) is None or path.startswith("/")
    resource_of(f"/api/{path}")
