"""Servers of their own for what only real processes show: two web workers, a Celery worker, and
their /metrics.
"""

import contextlib
import http.client

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.faults.fleet import Fleet
from tests.servers import running


@pytest.fixture(scope="package")
def servers(tmp_path_factory):
    with running(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture
def fleet_with(servers, tmp_path):
    """Return a function that makes a fleet in an environment; all are ended with the test."""
    fleets = []

    def make(**environment):
        folder = tmp_path / f"fleet{len(fleets)}"
        folder.mkdir()
        environment = {"STAGE_REFRESH_SECONDS": "0.5", "TMPDIR": str(tmp_path)} | environment
        fleets.append(Fleet(servers, folder, **environment))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.end()


class Scrape:
    """One answer of /metrics, parsed as Prometheus would."""

    def __init__(self, text):
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        names = [family.name for family in self.families]
        assert len(names) == len(set(names)), names
        self._samples = [sample for family in self.families for sample in family.samples]

    def all(self, name, **labels):
        """Return the samples of a series whose labels are, or include, these."""
        return [
            one
            for one in self._samples
            if one.name == name and labels.items() <= one.labels.items()
        ]

    def sum(self, name, **labels):
        return sum(one.value for one in self.all(name, **labels))

    def value(self, name, **labels):
        [one] = self.all(name, **labels)
        return one.value


def get(port, path="/metrics", **headers):
    """Return status, headers and body of a GET on loopback."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as caller:
        caller.request(
            "GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = caller.getresponse()
        return answer.status, answer.headers, answer.read().decode()


def scrape(port):
    status, _, body = get(port)
    assert status == 200, body
    return Scrape(body)
