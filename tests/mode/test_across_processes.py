"""The mode across real processes: hints, lost hints, and stores that are away or hang."""

import json
import time

import pytest

from stageapp.mode import fast_copy
from tests.processes import process
from tests.servers import running

CHANGE = """
for line in sys.stdin:
    mode = line.strip()
    began = time.time()
    row = modes.change(mode=mode, actor="test", reason="a test")
    say(version=row.version, seconds=time.time() - began)
"""
AWAY = "unix:///nonexistent/redis.sock?db=0"
QUICK = {"STAGE_REFRESH_SECONDS": "0.2"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with running(tmp_path_factory.mktemp("servers")) as servers:
        yield servers


@pytest.fixture(scope="module")
def changer(servers):
    with process(CHANGE, **servers.environment) as changer:
        yield changer


def following(servers, **environment):
    return process(**(servers.environment | environment))


def version(number):
    return lambda answer: answer["version"] == number


def test_two_processes_follow_a_change_by_hint_within_a_second(servers, changer):
    with following(servers) as one, following(servers) as two:
        for each in (one, two):
            each.until(lambda answer: answer["source"] == "postgres", 30)
        time.sleep(0.3)  # the subscription stands
        for mode in ("enforce", "off", "warn"):
            made = changer.ask(mode)["version"]
            assert max(each.until(version(made), 5) for each in (one, two)) < 1


def test_a_lost_hint_is_made_good_by_the_next_reading(servers, changer):
    with following(servers) as one:
        one.until(lambda answer: answer["source"] == "postgres", 30)
        time.sleep(0.3)
        made = _change_unheard(servers, changer, "enforce")
        assert one.until(version(made), 10) < 5.5


def _change_unheard(servers, changer, mode):
    """Cut every subscriber and let none subscribe anew until the change is made."""
    servers.client.acl_setuser("default", channels=[], reset_channels=True, enabled=True)
    try:
        servers.client.client_kill_filter(_type="pubsub")
        return changer.ask(mode)["version"]
    finally:
        servers.client.execute_command("ACL", "SETUSER", "default", "allchannels")


def test_a_process_without_redis_follows_postgres(servers, changer):
    with following(servers, REDIS_URL=AWAY, **QUICK) as one:
        one.ask()
        made = changer.ask("enforce")["version"]
        assert one.until(version(made), 10) < 3
        made = changer.ask("warn")["version"]
        assert one.until(version(made), 10) < 3
        assert one.ask()["source"] == "postgres"
        assert one.ask()["slowest"] < 0.05


def test_a_process_without_postgres_follows_redis_but_never_upwards(servers, changer):
    changer.ask("warn")
    with following(servers, **QUICK) as one:
        one.until(lambda answer: answer["mode"] == "warn" and answer["source"] == "postgres", 30)
        with servers.hanging(servers.postgres):
            one.until(lambda answer: answer["source"] == "redis", 30)
            held = one.ask()["version"]
            servers.client.set(fast_copy.KEY, _copy("enforce", held + 1))
            time.sleep(0.6)  # three rounds
            assert one.ask()["mode"] == "warn"
            servers.client.set(fast_copy.KEY, _copy("off", held + 2))
            assert one.until(lambda answer: answer["mode"] == "off", 10) < 3
        one.until(lambda answer: answer["source"] == "postgres" and answer["mode"] == "warn", 30)
        time.sleep(0.6)
        assert one.ask()["mode"] == "warn"


def _copy(mode, number):
    return f'{{"mode":"{mode}","percent":100,"epoch":1,"version":{number},"enforce_on":null,"since":null}}'


def test_a_hanging_postgres_does_not_keep_a_process_from_hearing_redis(servers, changer):
    changer.ask("enforce")
    with following(servers, STAGE_MODE_MAX_STALENESS="2", **QUICK) as one:
        one.until(lambda answer: answer["mode"] == "enforce" and answer["source"] == "postgres", 30)
        with servers.hanging(servers.postgres):
            one.until(lambda answer: answer["source"] == "redis", 30)
            until = time.monotonic() + 3
            while time.monotonic() < until:  # longer than the staleness: Redis confirms
                answer = one.ask()
                assert answer["mode"] == "enforce"
                assert answer["slowest"] < 0.05
        assert one.until(lambda answer: answer["source"] == "postgres", 10) < 5


def test_a_hanging_redis_does_not_keep_a_process_from_hearing_postgres(servers, changer):
    changer.ask("enforce")
    with following(servers) as one:
        one.until(lambda answer: answer["mode"] == "enforce", 30)
        with servers.hanging(servers.redis):
            made = changer.ask("warn")
            assert made["seconds"] < 1
            took = one.until(version(made["version"]), 15)
            assert took < 8
            assert one.ask()["slowest"] < 0.05


def test_late_hints_and_late_answers_never_bring_an_older_version_back(servers, changer):
    with following(servers, **QUICK) as one:
        with servers.hanging(servers.redis):
            for mode in ("enforce", "off", "enforce", "off", "warn"):
                made = changer.ask(mode)["version"]
            one.until(version(made), 15)
        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert (one.ask()["mode"], one.ask()["version"]) == ("warn", made)
        assert json.loads(servers.client.get(fast_copy.KEY))["version"] == made


def test_with_both_stores_away_enforce_is_kept_and_then_falls_to_warn(servers, changer):
    changer.ask("enforce")
    with following(servers, STAGE_MODE_MAX_STALENESS="2", **QUICK) as one:
        one.until(lambda answer: answer["mode"] == "enforce" and answer["source"] == "postgres", 30)
        with servers.hanging(servers.redis, servers.postgres):
            time.sleep(0.5)
            assert one.ask()["mode"] == "enforce"
            took = one.until(lambda answer: answer["mode"] == "warn", 30)
            assert 0.5 < took < 3
            assert one.ask()["source"] == "last_known"
            one.until(lambda _: any("mode_stale" in line for line in one.stderr), 30)
        assert one.until(lambda answer: answer["mode"] == "enforce", 10) < 5


def test_a_process_leaves_in_time_though_postgres_hangs(servers):
    with following(servers, **QUICK) as one:
        one.until(lambda answer: answer["source"] == "postgres", 30)
        with servers.hanging(servers.postgres):
            one.until(lambda answer: answer["source"] == "redis", 30)
            began = time.monotonic()
            assert one.end() == 0
            assert time.monotonic() - began < 15  # an exit that waits for PostgreSQL takes for ever


def test_a_first_answer_is_awaited_and_not_longer_than_asked(servers, changer):
    made = changer.ask("off")["version"]
    code = (
        "modes.await_first_answer()\nsay(version=modes.current().version, "
        "mode=modes.current().mode)"
    )
    with process(code, **servers.environment) as one:
        assert one.hear() == {"version": made, "mode": "off"}
    code = (
        "began = time.monotonic()\nmodes.await_first_answer(0.5)\nsay(took=time.monotonic() "
        "- began)"
    )
    with (
        servers.hanging(servers.redis, servers.postgres),
        process(code, **servers.environment) as one,
    ):
        assert 0.4 < one.hear()["took"] < 1


FORK = """
modes.await_first_answer()
here = refresher.running
child = os.fork()
if child == 0:
    inherited = refresher.running
    modes.current()
    say(parent=here, inherited=inherited, started=refresher.running)
    for line in sys.stdin:
        say(version=modes.current().version)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_child_starts_threads_of_its_own_and_follows(servers, changer):
    with process(FORK, **servers.environment) as child:
        assert child.hear() == {"parent": True, "inherited": False, "started": True}
        made = changer.ask("enforce")["version"]
        assert child.until(version(made), 10) < 5.5
        assert child.end() == 0
