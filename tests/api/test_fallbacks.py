import pytest
from django.urls import path

from stageapp.api import urls


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
