"""A real server on the test database, and a consumer that it sees; a webhook that believes the
tests.
"""

import contextlib

import pytest
from django.db import connection

from stageapp.mode import store
from stageapp.models import Consumer
from tests.api.gunicorn import serving
from tests.api.senders import SECRET
from tests.api.senders import TOKEN as BEARER
from tests.processes import database_url

TOKEN = "Token real-server-token"


@pytest.fixture
def committed_consumer(db):
    """Commit a consumer through a connection of its own, for another process to see."""
    own = connection.copy()
    with contextlib.closing(own), own.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stageapp_consumer (name, token_sha256, scopes, created_at)"
            " VALUES ('real-server', %s, '{read,write}', now())",
            [Consumer.digest("real-server-token")],
        )
        yield
        cursor.execute("DELETE FROM stageapp_consumer WHERE name = 'real-server'")
        for counts in (
            "trafficwindow",
            "consumersighting",
            "consumercontact",
        ):  # the server wrote them at its end
            cursor.execute(f"DELETE FROM stageapp_{counts}")


@pytest.fixture
def start_server(committed_consumer, tmp_path):
    """Return a function that starts gunicorn with these variables and returns its port."""
    with contextlib.ExitStack() as stack:
        yield lambda **environment: stack.enter_context(
            serving(tmp_path / "log", **{"DATABASE_URL": database_url()} | environment)
        )


@pytest.fixture
def believed(settings):
    """Let the webhook believe the secret and the token of the tests."""
    settings.ALERTMANAGER_WEBHOOK_SECRET = SECRET
    settings.ALERTMANAGER_BEARER_TOKEN = BEARER


@pytest.fixture
def enforced(db):
    """Enforce, and return a function that does it again, as a person who raises the mode."""

    def enforce():
        return store.change(mode="enforce", actor="ann", reason="a test")

    enforce()
    return enforce


@pytest.fixture
def mode_now():
    """Return a function that tells the stored mode."""
    return lambda: store.latest().mode
