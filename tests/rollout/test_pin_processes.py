"""A pin in real processes: the hint brings it at once, and without a hint the next round does."""

import pytest

from stageapp.infrastructure.redis import strict
from stageapp.infrastructure.refresher import CHANNEL
from stageapp.mode import store
from stageapp.people import Person
from stageapp.rollout import canary
from tests.processes import database_url, process

ANSWER_FOR_ALPHA = """
from stageapp.rollout import canary
modes.current()
for line in sys.stdin:
    say(effective=canary.effective_mode(modes.current(), "alpha"))
"""


def is_in(mode):
    return lambda answer: answer["effective"] == mode


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "period, seconds", [("20", 3.0), ("0.5", 3.0)], ids=["by the hint", "by the next round"]
)
def test_another_process_follows_a_pin(period, seconds, monkeypatch):
    store.change(mode="enforce", actor="test", reason="a test")
    with process(
        ANSWER_FOR_ALPHA, DATABASE_URL=database_url(), STAGE_REFRESH_SECONDS=period
    ) as other:
        other.until(is_in("enforce"), 20)
        other.until(lambda _: strict().pubsub_numsub(CHANNEL)[0][1] > 0, 20)
        if period != "20":
            monkeypatch.setattr("stageapp.mode.fast_copy.hint", lambda: None)
        canary.pin("alpha", "out", person=Person("ann"), reason="a test")
        assert other.until(is_in("warn"), 20) < seconds
