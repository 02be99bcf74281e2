"""What every test starts with: no refresher, nothing remembered of mode and vocabulary."""

import signal

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.db.models.signals import post_migrate
from hypothesis import settings as examples

from stageapp.api import throttles
from stageapp.consumers import contacts, sightings
from stageapp.finance import assumption_store
from stageapp.mode import store as modes
from stageapp.models.consumers import Consumer
from stageapp.rollout import canary
from stageapp.traffic import windows
from stageapp.vocabulary import snapshot
from stageapp.webhook import tally
from tests import shipped_vocabulary

# A busy machine is slow, and no test fails for that.
examples.register_profile("any machine", deadline=None)
examples.load_profile("any machine")

# Files of long tests, in real processes: begun first, so that no worker is left alone with one at
# the end.
LONG = (
    "chain/",
    "schemathesis/",
    "management/test_demo",
    "browser/",
    "observability/test_processes",
    "faults/",
    "normalization/test_replica",
    "normalization/test_kill",
    "rollout/test_forty_days",
    "mode/test_across_processes",
    "test_plugin_services",
    "embedded/",
    "config/test_deadlines",
    "normalization/test_restart",
    "normalization/test_trial",
    "management/test_trial",
    "backups/",
)


def pytest_configure():
    """Let the processes that tests start take Ctrl-C; a shell's background job has it ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Bring the long files to the front, in the order of LONG; all else stays as it is."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(
        key=lambda item: min(
            (place[name] for name in LONG if name in item.nodeid), default=len(LONG)
        )
    )


@pytest.fixture(scope="session", autouse=True)
def _vocabulary_outlives_a_flush():
    """A transactional test ends by emptying every table, and Django then sends post_migrate, as
    after migrating.
    """
    post_migrate.connect(shipped_vocabulary.ensure, sender=apps.get_app_config("stageapp"))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Every test writes its own history of the mode, without the row that installing wrote.

    A transactional test ends by emptying every table, so no other could rely on that row anyway.
    """
    with django_db_blocker.unblock(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL stageapp.prune = 'on'")
        cursor.execute("DELETE FROM stageapp_modechange")


@pytest.fixture(autouse=True)
def _nothing_remembered(settings):
    settings.STAGE_REFRESHER = False
    settings.WHITENOISE_AUTOREFRESH = True  # static files have not been collected
    _forget()
    yield
    _forget()


def _forget():
    for store in (modes, snapshot, assumption_store, canary, throttles):
        store.forget()
    canary._Local.pins = {}  # read, and nobody is pinned
    for counted in (
        windows,
        sightings,
        contacts,
        tally,
    ):  # what another test's requests left in memory
        counted.buffer.forget()


@pytest.fixture
def in_mode():
    """Return a function that puts this process in a mode, as if PostgreSQL had told it."""
    versions = iter(range(1, 1000))

    def put(mode, percent=100, **more):
        modes.adopt(modes.ModeState(mode, percent, 1, next(versions), source="postgres", **more))

    return put


@pytest.fixture
def consumer_named(db):
    """Return a function that makes a consumer; its token is `<name>-token`."""

    def make(name, *scopes, **more):
        return Consumer.objects.create(
            name=name, token_sha256=Consumer.digest(f"{name}-token"), scopes=list(scopes), **more
        )

    return make


@pytest.fixture
def consumer(consumer_named):
    """Return a consumer that may read and write."""
    return consumer_named("alpha", "read", "write")


@pytest.fixture
def client_of(client):
    """Return a function that makes the test client call as a consumer."""

    def use(consumer):
        client.defaults["HTTP_AUTHORIZATION"] = f"Token {consumer.name}-token"
        return client

    return use


@pytest.fixture
def figure(capsys):
    """Return a function that prints a measured figure, for the table in docs/reliability.md."""

    def tell(what, value):
        with capsys.disabled():
            print(f"\nfigure: {what}: {value}")

    return tell
