"""The registry of processes: who is in it, who leaves it, and when all follow a version."""

import datetime
import json
import os
import socket
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now

from stageapp.infrastructure.refresher import Refresher
from stageapp.mode import processes, store
from stageapp.mode.processes import Agreement, agreement, await_agreement, heartbeat, seen
from stageapp.models import ServerProcess

pytestmark = pytest.mark.django_db


@pytest.fixture
def served():
    """Let this process be a web server for one test."""
    processes.forget()
    processes.serve_as("web")
    yield
    processes.forget()


def other(name="worker", *, version=1, silent_for=0.0, epoch=1, pid=7, age=0.0):
    heartbeat_at = Now() - datetime.timedelta(seconds=silent_for)
    return ServerProcess.objects.create(
        id=f"00000000-0000-4000-8000-{pid:012}",
        name=name,
        host="far",
        pid=pid,
        started_at=Now(),
        mode="warn",
        percent=100,
        epoch=epoch,
        version=version,
        source="postgres",
        age=age,
        heartbeat_at=heartbeat_at,
    )


def test_a_server_tells_what_it_is_where_it_runs_and_which_version_it_follows(served, in_mode):
    in_mode("enforce", 10)
    heartbeat()
    [row] = seen()
    assert (row.name, row.host, row.pid) == ("web", socket.gethostname(), os.getpid())
    assert (row.mode, row.percent, row.epoch, row.version, row.source) == (
        "enforce",
        10,
        1,
        1,
        "postgres",
    )
    assert row.live
    assert 0 <= row.age < 5


def test_its_next_heartbeat_is_the_same_row(served, in_mode):
    heartbeat()
    before = ServerProcess.objects.get()
    in_mode("off")
    heartbeat()
    after = ServerProcess.objects.get()
    assert (before.version, before.source, before.age) == (0, "default", None)
    assert (after.pk, after.version, after.mode) == (before.pk, 1, "off")
    assert after.started_at == before.started_at


def test_a_command_does_not_register(in_mode):
    in_mode("warn")
    heartbeat()
    assert seen() == []


def test_who_leaves_is_gone_at_once(served, monkeypatch):
    monkeypatch.setattr(processes, "refresher", Refresher())
    heartbeat()
    processes.leave()
    heartbeat()  # the refresher's last round
    assert seen() == []


def test_a_silent_process_is_stale_then_forgotten(served):
    other(silent_for=16, age=2)
    heartbeat()
    [web, worker] = seen()
    assert (web.live, worker.live) == (True, False)
    assert 18 <= worker.age < 20
    ServerProcess.objects.filter(name="worker").update(
        heartbeat_at=Now() - datetime.timedelta(seconds=121)
    )
    heartbeat()
    assert [one.name for one in seen()] == ["web"]


@pytest.mark.parametrize(
    "order, following, behind", [((1, 4), 2, 0), ((1, 5), 1, 1), ((1, 6), 0, 2), ((0, 9), 2, 0)]
)
def test_a_process_follows_a_version_when_it_has_it_or_a_newer_one(order, following, behind):
    other(version=4, pid=1)
    other(version=5, pid=2)
    other(version=1, pid=3, silent_for=60)
    found = agreement(order)
    assert (len(found.following), len(found.behind), len(found.stale)) == (following, behind, 1)


def test_a_newer_epoch_counts_as_newer():
    other(epoch=2, version=1)
    assert not agreement((1, 900)).behind


def test_waiting_ends_as_soon_as_all_follow_and_not_later_than_asked():
    answers = [
        Agreement((), ("one",), ()),
        Agreement((), ("one",), ()),
        Agreement(("one",), (), ()),
    ]
    assert await_agreement((1, 1), 5, look=lambda _: answers.pop(0)).following == ("one",)
    assert await_agreement((1, 1), 0.1, look=lambda _: Agreement((), ("one",), ())).behind == (
        "one",
    )


def test_a_fork_is_another_process_without_a_name(served):
    before = processes._me.id
    assert processes.is_ready()
    processes.forget()
    assert processes._me.id != before
    assert not processes.is_ready()


def test_requests_that_come_together_all_wait_for_the_first_answer(monkeypatch):
    processes.forget()
    answered, waits = threading.Event(), []
    monkeypatch.setattr(store, "await_first_answer", lambda: waits.append(answered.wait(5)))
    ready = []

    def request():
        processes.serve_as("web")
        ready.append(answered.is_set())

    requests = [threading.Thread(target=request) for _ in range(8)]
    for each in requests:
        each.start()
    answered.set()
    for each in requests:
        each.join()
    processes.forget()
    assert ready == [True] * 8
    assert len(waits) == 1


# --- the command


def mode(*arguments):
    call_command("mode", *arguments)


def test_set_wait_returns_when_every_live_process_follows(capsys):
    other(version=1)
    other(version=0, pid=8, silent_for=30)
    mode("set", "off", "--reason", "noisy", "--wait")
    said = capsys.readouterr().err
    assert "1 process follows version 1.1" in said
    assert "Stale, not waited for: worker far:8 (version 1.0)" in said


def test_set_wait_fails_in_time_and_names_who_does_not_follow():
    other(version=0)
    with pytest.raises(
        CommandError, match=r"The mode was set \(version 1\.1\).*worker far:7 \(version 1\.0\)"
    ):
        mode("set", "off", "--reason", "noisy", "--wait", "0.2")
    assert store.latest().mode == "off"


@pytest.mark.parametrize("seconds", ["-1", "nan", "3601", "soon"])
def test_a_wait_that_is_no_time_is_wrong_usage(seconds):
    with pytest.raises(CommandError, match="is not a valid time to wait"):
        mode("set", "off", "--reason", "noisy", f"--wait={seconds}")
    assert store.latest().version == 0


def test_show_lists_the_processes(capsys):
    other(version=3, silent_for=40)
    mode("show", "--json")
    [shown] = json.loads(capsys.readouterr().out)["processes"]
    assert {name: shown[name] for name in ("name", "host", "pid", "epoch", "version", "live")} == {
        "name": "worker",
        "host": "far",
        "pid": 7,
        "epoch": 1,
        "version": 3,
        "live": False,
    }
    assert 40 <= shown["silent_for"] < 45
    mode("show")
    assert "worker far:7 (version 1.3): warn, silent for 40 s" in capsys.readouterr().out


@pytest.mark.parametrize("seconds, live", [(4.0, 15.0), (20.0, 63.0)])
def test_who_is_told_to_re_read_seldom_is_not_stale_in_between(settings, seconds, live):
    settings.STAGE_REFRESH_SECONDS = seconds
    assert processes.live_seconds() == live
