"""Fault 17: the clock jumps by an hour under a running process; how old the mode is, only the
monotonic clock tells.
"""

import time
from pathlib import Path

import pytest

from tests.processes import process

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
QUICK = {"STAGE_REFRESH_SECONDS": "0.2", "STAGE_MODE_MAX_STALENESS": "3"}
CHANGE = """
for line in sys.stdin:
    say(version=modes.change(mode=line.strip(), actor="test", reason="a test").version)
"""
ANSWER = """
modes.current()
for line in sys.stdin:
    state = modes.current()
    say(mode=state.mode, version=state.version, source=state.source, age=modes.age_seconds(), clock=time.time())
"""


@pytest.fixture
def offset(tmp_path):
    """Return the file that says how far the clock of the process is off."""
    if not LIBRARIES:
        pytest.skip("libfaketime is not installed")
    file = tmp_path / "offset"
    file.write_text("+0")
    return file


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_jumps_makes_no_mode_stale_and_keeps_none_alive(hours, offset, servers):
    faked = {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    with process(CHANGE, **servers.environment) as changer:
        changer.ask("enforce")
        with process(ANSWER, **servers.environment | QUICK | faked) as one:
            one.until(
                lambda answer: answer["mode"] == "enforce" and answer["source"] == "postgres", 15
            )
            offset.write_text(f"{hours * 3600:+d}")
            jumped = one.ask()
            assert abs(jumped["clock"] - time.time() - hours * 3600) < 60
            ended = time.monotonic() + 1.5
            while time.monotonic() < ended:
                answer = one.ask()
                assert (answer["mode"], answer["source"] in ("postgres", "redis")) == (
                    "enforce",
                    True,
                )
                assert 0 <= answer["age"] < 2
            made = changer.ask("off")["version"]
            assert one.until(lambda answer: answer["version"] == made, 10) < 10
            made = changer.ask("enforce")["version"]
            one.until(lambda answer: answer["version"] == made, 5)
            with servers.hanging(servers.redis, servers.postgres):
                took = one.until(lambda answer: answer["mode"] == "warn", 15)
            assert 1 < took < 5
