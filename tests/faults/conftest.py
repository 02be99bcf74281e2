"""One PostgreSQL and one Redis for all faults, a proxy before Redis, and the servers that live
through them.
"""

import pytest

from tests.faults.fleet import Fleet
from tests.faults.proxy import Proxy
from tests.servers import running

QUICK = {
    "STAGE_REFRESH_SECONDS": "0.5"
}  # the short versions; what the periods are by default, the full ones show


@pytest.fixture(scope="package")
def servers(tmp_path_factory):
    with running(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="package")
def proxy(servers):
    proxy = Proxy(str(servers.redis.socket))
    yield proxy
    proxy.close()


@pytest.fixture(autouse=True)
def _all_is_well(servers, proxy):
    """Begin each test without a fault, and end what it left."""
    servers.redis.ensure()
    proxy.misbehave("pass")
    yield
    proxy.misbehave("pass")
    servers.redis.ensure()


@pytest.fixture
def fleet_with(servers, tmp_path):
    """Return a function that makes a fleet in an environment; all are ended with the test."""
    fleets = []

    def make(**environment):
        folder = tmp_path / f"fleet{len(fleets)}"
        folder.mkdir()
        fleets.append(Fleet(servers, folder, **environment))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.end()


@pytest.fixture(scope="package")
def _site(servers, proxy, tmp_path_factory):
    fleet = Fleet(servers, tmp_path_factory.mktemp("site"), REDIS_URL=proxy.url, **QUICK)
    fleet.port = fleet.web(2)
    fleet.registered(2)
    yield fleet
    fleet.end()


@pytest.fixture
def site(_site):
    """Return two web processes that reach Redis by the proxy and re-read twice a second, all in
    `enforce`.
    """
    _site.agreed(_site.set("enforce"))
    return _site
