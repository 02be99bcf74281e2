from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import path
from django.utils import timezone
from rest_framework.response import Response

from stageapp.api import urls
from stageapp.api.endpoint import Endpoint
from stageapp.api.openapi.document import SchemaPage

BODY = {"stage_distribution": {"seed": 1}}


class Undeclared(Endpoint):
    def get(self, request):
        return Response({})


urlpatterns = [path("undeclared", Undeclared.as_view()), *urls.urlpatterns]
CALLS = {
    "read": lambda client: client.get("/api/stages"),
    "write": lambda client: client.post("/api/allocations", BODY, content_type="application/json"),
    "ops": lambda client: client.get("/_ops/stage-validation/mode"),
}


@pytest.mark.parametrize("needed", CALLS)
@pytest.mark.parametrize("held", CALLS)
def test_a_token_does_what_its_scope_says_and_nothing_else(held, needed, client_of, consumer_named):
    response = CALLS[needed](client_of(consumer_named("one", held)))
    assert response.status_code == (200 if held == needed else 403)


@pytest.mark.parametrize("needed", CALLS)
@pytest.mark.parametrize(
    "kind,may", [("nobody", ""), ("user", "read"), ("staff", "read write ops")]
)
def test_a_session_may_read_and_as_staff_the_rest(kind, may, needed, client, db):
    if kind != "nobody":
        client.force_login(User.objects.create_user(kind, is_staff=kind == "staff"))
    expected = 200 if needed in may else 401 if kind == "nobody" else 403
    response = CALLS[needed](client)
    # As DRF has it, whoever is told 403 or 401 depends on the first authentication's challenge.
    assert response.status_code == expected


@pytest.mark.parametrize(
    "more",
    [
        {"expires_at": timezone.now() - timedelta(seconds=1)},
        {"revoked_at": timezone.now() - timedelta(days=1)},
    ],
)
def test_an_expired_or_revoked_token_is_refused(more, client_of, consumer_named):
    response = CALLS["read"](client_of(consumer_named("one", "read", **more)))
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Token ")
    assert response.json()["type"] == "/problems/authentication-failed"


def test_a_token_that_expires_later_still_works(client_of, consumer_named):
    later = timezone.now() + timedelta(minutes=1)
    assert (
        CALLS["read"](client_of(consumer_named("one", "read", expires_at=later))).status_code == 200
    )


@pytest.mark.parametrize(
    "header",
    ["Token", "Token ", "Token wrong", "token alpha-token x", "Token " + "é" * 50, "Token \x01"],
)
def test_a_wrong_token_is_refused_with_a_challenge(header, client, consumer):
    response = client.get("/api/stages", HTTP_AUTHORIZATION=header)
    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Token ")


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer alpha-token"])
def test_other_schemes_are_no_credentials(header, client, consumer):
    response = client.get("/api/stages", HTTP_AUTHORIZATION=header)
    assert response.status_code == 401
    assert response.json()["type"] == "/problems/not-authenticated"


def test_the_scheme_is_case_insensitive(client, consumer):
    assert client.get("/api/stages", HTTP_AUTHORIZATION="tOKEN alpha-token").status_code == 200


def test_a_view_without_a_scope_permits_nobody(settings, client, db):
    settings.ROOT_URLCONF = __name__
    client.force_login(User.objects.create_superuser("root"))
    assert client.get("/undeclared").status_code == 403


def test_a_session_needs_a_csrf_token_to_write(db):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_user("staff", is_staff=True))
    response = CALLS["write"](client)
    assert response.status_code == 403
    assert response.headers["Content-Type"] == "application/problem+json"
    assert CALLS["read"](client).status_code == 200


def test_a_token_needs_no_csrf_token(consumer):
    client = Client(enforce_csrf_checks=True, HTTP_AUTHORIZATION="Token alpha-token")
    assert CALLS["write"](client).status_code == 200


def test_every_method_of_every_resource_declares_a_scope():
    for pattern in urls.urlpatterns:
        view = getattr(pattern.callback, "cls", None)
        if view is not None and view is not SchemaPage:  # the API's description is for everybody
            methods = {m.upper() for m in view.http_method_names if hasattr(view, m)} - {"HEAD"}
            assert set(view.scopes) == methods, view


def test_permissions_of_a_superuser_do_not_replace_a_scope(client, db):
    user = User.objects.create_user("plain")
    user.user_permissions.set(Permission.objects.filter(codename="change_mode"))
    client.force_login(user)
    assert CALLS["ops"](client).status_code == 403
