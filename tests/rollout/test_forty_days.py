"""A whole rollout of forty days, hour by hour: bad days, a bad hour, a gap, the end of the warn
period, the canary.
"""

import datetime

import pytest

from stageapp.mode import store
from stageapp.models.mode import ModeChange
from stageapp.models.traffic import TrafficHour, TrafficWindow
from stageapp.rollout import auto_downgrade, schedule, timeline
from stageapp.rollout.errors import GatesHold
from stageapp.rollout.outlook import outlook
from stageapp.traffic import history as traffic_history
from stageapp.traffic import windows
from tests.rollout.conftest import ANN, ask

HOUR = datetime.timedelta(hours=1)
BAD_HOUR, GAP, LATE_WARN = 13, 22, 31
REQUESTS = 400  # an hour


class Rollout:
    """Time and traffic from the first day on."""

    def __init__(self, clock):
        self.clock, self.start = clock, clock.now
        self.verdicts = {}

    @property
    def day(self):
        return (self.clock.now - self.start).days

    def until(self, day, hour=0):
        """Let whole hours pass, with the traffic of each; note what the gate out of warn says at
        every midnight.
        """
        while self.clock.now < self.start + datetime.timedelta(days=day, hours=hour):
            self._one_hour()
            self.clock.now += HOUR
            windows.flush()
            traffic_history.roll_up(self.clock.now)
            if self.clock.now.hour == 0:
                self.verdicts[self.day] = self.gate("warn_exit")

    def _one_hour(self):
        if self.day == GAP:
            return
        unknown = 8 if self.day < 9 else 1  # 2 % of the requests, then 0.25 %
        if self.day == BAD_HOUR and self.clock.now.hour == 15:
            unknown = 6
        for number in range(REQUESTS):
            verdict = "unknown" if number < unknown else "normalized"
            windows.count(
                endpoint="simulate",
                mode=store.latest().mode if number == 0 else "warn",
                verdict=verdict,
            )

    def minutes(self, count, percent):
        """Let minutes pass in which as many callers meet enforce as the percentage says; beat
        comes every minute.
        """
        for _ in range(count):
            for number in range(120):
                mode = "enforce" if number % 100 < percent else "warn"
                windows.count(endpoint="simulate", mode=mode, verdict="canonical")
            self.clock.move(minutes=1)
            if self.clock.now.minute % 10 == 0:
                windows.flush()
                assert auto_downgrade.watch() is None
                schedule.take_next()

    def gate(self, name):
        return outlook().gates[name].verdict.value


@pytest.mark.django_db
def test_forty_days_from_off_to_done(clock, ready, settings):
    rollout = Rollout(clock)
    ask("off")
    rollout.until(1)
    ask("warn")
    assert rollout.gate("warn_exit") == "no_data"

    rollout.until(20)  # bad until day 9, then a bad hour on day 13
    with pytest.raises(GatesHold, match="warn_exit"):
        ask("enforce", 10)
    rollout.until(LATE_WARN, 12)  # a day without traffic, then the warn period is over
    told = [rollout.verdicts[day] for day in range(2, LATE_WARN + 1)]
    assert told == (
        ["fail"] * 14  # days 2 to 15: a day of 2 % is among the last seven
        + ["fail"] * 5  # days 16 to 20: the bad hour is
        + ["pass"] * 2  # days 21 and 22
        + ["no_data"] * 7  # days 23 to 29: the gap is
        + ["pass", "fail"]  # day 30 passes, then 30 days in warn are over
    )

    timeline.begin_warn_period(ANN, "the callers were told that it begins again")
    rollout.until(38)
    assert [rollout.verdicts[day] for day in range(32, 39)] == ["no_data"] * 7
    rollout.until(39)
    assert rollout.verdicts[39] == "pass"
    with pytest.raises(GatesHold, match=r"run_complete.*consumers_audited"):
        ask("enforce", 10)

    ready()
    ask("enforce", 10)
    schedule.plan_steps(ANN, "green only")
    rollout.minutes(119, 10)
    assert store.latest().percent == 10
    rollout.minutes(5, 10)
    assert store.latest().percent == 50
    rollout.minutes(235, 50)
    assert store.latest().percent == 50
    rollout.minutes(10, 50)
    assert store.latest().percent == 100
    rollout.minutes(23 * 60, 100)
    assert rollout.gate("done") == "fail"
    rollout.minutes(61, 100)
    assert rollout.gate("done") == "pass"
    assert outlook().step is None

    assert (rollout.clock.now - rollout.start).days == 40
    history = ModeChange.objects.order_by("version").values_list(
        "mode", "percent", "kind", "override_reason"
    )
    assert list(history) == [
        ("off", 100, "manual", ""),
        ("warn", 100, "manual", ""),
        ("enforce", 10, "manual", ""),
        ("enforce", 50, "scheduled", ""),
        ("enforce", 100, "scheduled", ""),
    ]
    traffic_history.roll_up(clock.now)
    assert rollout.gate("done") == "pass"
    assert TrafficHour.objects.count() > 900
    assert not TrafficWindow.objects.filter(started_at__lt=clock.now - 26 * HOUR).exists()
