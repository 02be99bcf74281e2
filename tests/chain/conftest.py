"""The servers and the site of the chain's runs, and what watches it."""

from contextlib import contextmanager

import pytest

from tests.chain.monitoring import PROGRAMS, Monitoring
from tests.chain.site import Site
from tests.config.observability.programs import need
from tests.faults.fleet import until
from tests.servers import running

# Which of the shipped configurations of Alertmanager goes which way, and who is then said to have
# lowered the mode.
WAYS = {
    "relay": ("alertmanager.yml", "webhook:standard"),
    "bearer": ("alertmanager-bearer.yml", "webhook:bearer"),
}


@pytest.fixture(scope="package")
def site(tmp_path_factory):
    need(*PROGRAMS)
    with running(tmp_path_factory.mktemp("servers")) as servers:
        site = Site(servers, tmp_path_factory.mktemp("site"))
        try:
            site.await_ready()
            yield site
        finally:
            site.end()


@pytest.fixture
def watched(site, tmp_path):
    """Return a context in which the site, all in enforce, is watched by Prometheus and
    Alertmanager.
    """

    @contextmanager
    def watching(way):
        site.enforce()
        monitoring = Monitoring(tmp_path, WAYS[way][0], **site.places)
        try:
            up = {"stage-web": "up", "stage-worker": "up"}
            until(lambda: monitoring.targets() == up, 20, monitoring.targets)
            yield monitoring
        finally:
            monitoring.end()

    return watching
