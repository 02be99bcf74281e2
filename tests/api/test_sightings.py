"""What a request holds is counted for its consumer, and an unknown value of it comes into the
queue.
"""

import pytest

from stageapp.consumers import sightings
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownEntry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_counts():
    sightings.buffer.forget()
    yield
    sightings.buffer.forget()


@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_a_request_is_counted_in_every_mode(mode, in_mode, consumer, client_of):
    in_mode(mode)
    body = {"name": "s", "stage_allocation": {"seed": 0.25, "Series-A": 0.25, "Fondo X": 0.5}}
    answer = client_of(consumer).post(
        "/api/portfolio/strategies", body, content_type="application/json"
    )
    assert answer.status_code == (400 if mode == "enforce" else 201)
    sightings.flush()
    assert sorted(ConsumerSighting.objects.values_list("consumer", "key", "outcome", "count")) == [
        ("alpha", "fondo x", "unknown", 1),
        ("alpha", "seed", "canonical", 1),
        ("alpha", "series a", "normalized", 1),
    ]
    assert UnknownEntry.objects.get().examples == ['"Fondo X"']


def test_a_malformed_request_is_no_sighting(in_mode, consumer, client_of):
    in_mode("warn")
    client_of(consumer).post(
        "/api/portfolio/strategies", {"name": "s"}, content_type="application/json"
    )
    sightings.flush()
    assert not ConsumerSighting.objects.exists()
