"""Adaptive sampling: few events are all kept, many tell by their rate how many there were."""

import json
import random
import subprocess
import sys
import threading

import pytest

from stageapp.infrastructure.events import FEW, Sampler
from tests.processes import _PYTHONPATH, PROJECT

SEED = 20260101


class Clock:
    """A clock that the test sets, in seconds."""

    now = 0.0

    def __call__(self):
        return self.now


def test_while_they_are_few_all_are_kept():
    clock = Clock()
    sampler = Sampler(clock, chance=lambda: 1.0)
    for minute in range(5):
        clock.now = minute * 60.0
        assert [sampler.rate(0.1) for _ in range(FEW)] == [1.0] * FEW


def test_beyond_that_chance_decides_and_the_next_minute_begins_anew():
    clock, draws = Clock(), iter([0.05, 0.1, 0.5, 0.0999])
    sampler = Sampler(clock, chance=lambda: next(draws))
    for _ in range(FEW):
        sampler.rate(0.1)
    assert [sampler.rate(0.1) for _ in range(4)] == [0.1, None, None, 0.1]
    clock.now = 59.9
    draws = iter([0.9])
    assert sampler.rate(0.1) is None
    clock.now = 60.0
    assert sampler.rate(0.1) == 1.0


def test_at_rate_one_everything_is_kept():
    sampler = Sampler(Clock())
    assert {sampler.rate(1.0) for _ in range(1000)} == {1.0}


def test_threads_do_not_keep_more_than_the_first_few():
    sampler = Sampler(Clock(), chance=lambda: 1.0)
    kept = []
    threads = [
        threading.Thread(target=lambda: kept.extend(sampler.rate(0.1) for _ in range(500)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert kept.count(1.0) == FEW


# The events as a server writes them, a thousand a second by a clock that is not the wall's.
WRITE = """
import random, sys
import django
django.setup()
from stageapp.infrastructure import events
from stageapp.infrastructure.events import Sampler
number, seed = int(sys.argv[1]), int(sys.argv[2])
now = 0.0
sampler = Sampler(lambda: now, random.Random(seed).random)
for event in range(number):
    now = event / 1000
    if (rate := sampler.rate(0.1)) is not None:
        events.unknown_stages(
            endpoint="simulate", consumer="alpha", mode="warn", outcome="warned", reasons=["unmapped"], unknown=1,
            values=["Blue\\nSky"], user_agent="", rate=rate)
"""


def write(number, path):
    """Write so many events to a file, in a process of its own; return its lines."""
    with path.open("w") as file:
        subprocess.run(
            [sys.executable, "-c", WRITE, str(number), str(SEED)],
            cwd=PROJECT,
            stderr=file,
            check=True,
            timeout=600,
            env={
                "PYTHONPATH": _PYTHONPATH,
                "DJANGO_SETTINGS_MODULE": "config.settings",
                "DEBUG": "1",
            },
        )
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("number", [100_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_what_was_kept_of_many_events_tells_how_many_there_were(number, tmp_path, capsys):
    lines = write(number, tmp_path / "log")
    assert {line["event"] for line in lines} == {"unknown_stages"}
    rates = [line["rate"] for line in lines]
    estimate = sum(1 / rate for rate in rates)
    minutes = -(-number // 60_000)
    assert set(rates) == {1.0, 0.1}
    assert rates.count(1.0) == FEW * minutes
    assert abs(estimate - number) / number < 0.02
    with capsys.disabled():
        print(
            f"\nfigure: {number} events at 1,000/s (seed {SEED}): {len(lines)} kept, "
            f"{rates.count(1.0)} at rate 1, {rates.count(0.1)} at rate 0.1; estimate "
            f"{estimate:.0f}, off by {abs(estimate - number) / number:.2%}"
        )


@pytest.mark.parametrize("seed", range(5))
def test_the_estimate_holds_for_bursts_and_lulls(seed):
    clock, numbers = Clock(), random.Random(seed)
    sampler = Sampler(clock, numbers.random)
    true, estimate = 0, 0.0
    for minute in range(60):
        for _ in range(numbers.choice([0, 3, 9, 10, 11, 200, 5000])):
            clock.now = minute * 60 + numbers.random() * 59
            true += 1
            estimate += 1 / (sampler.rate(0.1) or float("inf"))
    assert abs(estimate - true) / true < 0.05
