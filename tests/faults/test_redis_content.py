"""Faults 6-10: Redis answers, but has lost the mode, holds an old one or nonsense, or its
messages go astray.
"""

import json
import shutil
import time

import pytest

from stageapp.mode import fast_copy
from tests.faults.fleet import until
from tests.faults.load import Load


def held(servers):
    value = servers.client.get(fast_copy.KEY)
    return json.loads(value) if value else {}


@pytest.mark.parametrize("mode", ["enforce", "warn"])
def test_after_flushall_the_mode_stays_and_the_copy_is_rebuilt_from_postgres(
    mode, servers, site, figure
):
    made = site.set(mode)
    site.agreed(made)
    load = Load(site.port, rate=20, seconds=2)
    servers.client.flushall()
    took = until(lambda: held(servers).get("version") == made["version"], 10)
    assert load.wait().modes == {mode}
    assert took < 2
    figure(
        f"fault 6, seconds to rebuild after FLUSHALL in {mode} (re-read each 0.5 s)", f"{took:.2f}"
    )


def test_an_old_snapshot_that_says_enforce_makes_nobody_stricter(servers, site):
    until(lambda: held(servers).get("mode") == "enforce", 10)
    snapshot = servers.redis.data / "appendonly.aof"
    until(lambda: b'"enforce"' in snapshot.read_bytes(), 5)
    shutil.copy(snapshot, snapshot.with_suffix(".old"))
    made = site.set("warn")
    site.agreed(made)
    servers.kill_redis()
    shutil.copy(snapshot.with_suffix(".old"), snapshot)
    load = Load(site.port, rate=20, seconds=3)
    servers.redis.ensure()
    assert held(servers)["mode"] == "enforce" or held(servers)["version"] == made["version"]
    until(lambda: held(servers).get("version") == made["version"], 10)
    assert load.wait().modes == {"warn"}
    assert load.errors == []


GARBAGE = {
    "ENFORCE": b"ENFORCE",
    "empty": b"",
    "10 MB": b"x" * 10_000_000,
    "bytes": b"\xff\x00\xfe",
    "a JSON list": b"[]",
    "off, but no numbers": b'{"mode":"off","percent":100,"epoch":"9","version":[9],"enforce_on":null}',
    "deep": b"[" * 100_000,
}


def test_a_value_that_is_no_mode_is_ignored_told_and_replaced(servers, site):
    made = site.set("enforce")
    site.agreed(made)
    load = Load(site.port, rate=20, seconds=len(GARBAGE) + 1)
    for name, value in GARBAGE.items():
        alarms = site.log().count("mode_value_ignored")
        servers.client.set(fast_copy.KEY, value)
        until(
            lambda: held_or_nothing(servers).get("version") == made["version"],
            10,
            lambda name=name: name,
        )
        assert site.log().count("mode_value_ignored") > alarms or not value, name
    servers.client.delete(fast_copy.KEY)
    servers.client.rpush(fast_copy.KEY, "enforce", "off")
    until(
        lambda: held_or_nothing(servers).get("version") == made["version"],
        10,
        lambda: "a Redis list",
    )
    load.wait()
    assert (load.modes, load.errors) == ({"enforce"}, [])
    assert "Traceback" not in site.log()


def held_or_nothing(servers):
    if servers.client.type(fast_copy.KEY) != b"string":
        return {}
    try:
        return dict(held(servers))
    except (ValueError, TypeError, RecursionError):
        return {}


def test_a_subscriber_that_is_cut_off_learns_by_re_reading(servers, site):
    servers.client.acl_setuser("default", channels=[], reset_channels=True, enabled=True)
    try:
        servers.client.client_kill_filter(_type="pubsub")
        assert site.agreed(site.set("warn"), 15) < 2
    finally:
        servers.client.execute_command("ACL", "SETUSER", "default", "allchannels")


def test_of_messages_that_arrive_late_none_brings_an_older_mode_back(servers, site):
    with servers.hanging(servers.redis):
        for mode in ("enforce", "off", "enforce", "off", "warn"):
            made = site.set(mode)
        site.agreed(made)
    load = Load(site.port, rate=30, seconds=2)
    ended = time.monotonic() + 2
    while time.monotonic() < ended:
        assert {one["version"] for one in site.seen()} == {made["version"]}
    assert load.wait().modes == {"warn"}
    assert held(servers)["version"] == made["version"]
