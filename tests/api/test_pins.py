"""A pinned consumer meets its own mode, from its request to the header and the traffic windows."""

import pytest

from stageapp.models.traffic import TrafficWindow
from stageapp.people import Person
from stageapp.rollout import canary
from stageapp.traffic import windows
from tests.api.calls import post


@pytest.fixture(autouse=True)
def _count_anew():
    windows.buffer.forget()


@pytest.fixture
def pin(db):
    def put(consumer, place):
        canary.pin(consumer.name, place, person=Person("ann"), reason="a test")
        canary.refresh()

    return put


@pytest.mark.parametrize(
    "percent, place, status, mode",
    [(100, "out", 200, "warn"), (1, "in", 400, "enforce"), (100, "free", 400, "enforce")],
)
def test_the_pin_decides(percent, place, status, mode, client_of, consumer, in_mode, pin):
    in_mode("enforce", percent=percent)
    pin(consumer, place)
    response = post(client_of(consumer), "allocations", {"wat": 1})
    assert (response.status_code, response["X-Stage-Mode"]) == (status, mode)
    windows.flush()
    window = TrafficWindow.objects.get()
    assert (window.mode, window.verdict, window.rejects) == (mode, "unknown", int(status == 400))
    assert window.reasons == {"unmapped": 1}
