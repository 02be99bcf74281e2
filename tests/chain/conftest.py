"""The servers, the site and its monitoring, for a run of the chain."""

from contextlib import contextmanager

import pytest

from tests.chain.monitoring import PROGRAMS, Monitoring
from tests.chain.site import Site
from tests.config.observability.programs import need
from tests.faults.fleet import until
from tests.servers import running


@pytest.fixture(scope="package")
def servers(tmp_path_factory):
    with running(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def chain(servers, tmp_path):
    """Return a context that runs the site in enforce and its monitoring, by one of Alertmanager's configurations."""

    @contextmanager
    def running_by(alertmanager_file):
        need(*PROGRAMS)
        (folder := tmp_path / "site").mkdir()
        site = Site(servers, folder)
        try:
            (watched := tmp_path / "monitoring").mkdir()
            monitoring = Monitoring(watched, alertmanager_file, **site.places)
            try:
                site.await_ready()
                up = {"stage-web": "up", "stage-worker": "up"}
                until(lambda: monitoring.targets() == up, 20, monitoring.targets)
                yield site, monitoring
            finally:
                monitoring.end()
        finally:
            site.end()

    return running_by


@pytest.fixture
def figure(capsys):
    """Return a function that prints a measured figure, for the table in docs/reliability.md."""

    def tell(what, value):
        with capsys.disabled():
            print(f"\nfigure: {what}: {value}")

    return tell
