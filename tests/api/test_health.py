import pytest
import redis
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from redis.backoff import NoBackoff
from redis.retry import Retry

from stageapp.api import health


@pytest.fixture(autouse=True)
def _ask_anew():
    health.require_migrations.cache_clear()
    yield
    health.require_migrations.cache_clear()


def away(error):
    def fail(*_args, **_more):
        raise error

    return fail


def test_healthz_asks_nothing_of_anybody(client):
    # Without the `db` fixture any query would fail here.
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.post("/healthz").status_code == 405


def test_ready_when_all_is_there(client, db, in_mode):
    in_mode("warn")
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "database": "ok",
        "redis": "ok",
        "mode_source": "postgres",
    }


def test_degraded_but_ready_without_redis(client, db, monkeypatch):
    monkeypatch.setattr(health, "strict", lambda: redis.Redis(port=1, retry=Retry(NoBackoff(), 0)))
    response = client.get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    assert response.json()["redis"] == "away"


def test_not_ready_without_the_database(client, db, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(connection, "cursor", away(OperationalError("secret")))
        response = client.get("/readyz")
    assert (response.status_code, response.json()["database"]) == (503, "away")
    assert b"secret" not in response.content


def test_not_ready_with_migrations_missing(client, db):
    MigrationRecorder.Migration.objects.filter(app="stageapp").delete()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert "manage.py migrate" in response.json()["database"]


def test_migrations_are_looked_for_once(client, db, django_assert_num_queries):
    client.get("/readyz")
    with django_assert_num_queries(1):
        assert client.get("/readyz").status_code == 200
