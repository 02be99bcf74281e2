"""Child processes end with their parent, and never unnoticed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from stageapp.demo import site as the_module
from stageapp.demo.site import ChildDied, Children

PROJECT = Path(__file__).resolve().parents[2]
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("ready", flush=True)
time.sleep(600)
"""
PATIENT = "import time; print('ready', flush=True); time.sleep(600)"
PARENT = """
import os, sys, time
from pathlib import Path
from stageapp.demo.site import Children
with Children(Path(sys.argv[1]), dict(os.environ)) as children:
    print(children.start("patient", ["patient"]).process.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def children(tmp_path):
    for name, code in {
        "stubborn": STUBBORN,
        "patient": PATIENT,
        "brief": "print('it broke'); exit(3)",
    }.items():
        (tmp_path / f"{name}.py").write_text(code)
    with Children(
        tmp_path / "logs", os.environ | {"PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    ) as started:
        yield started


def until(holds, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ready(child):
    until(lambda: child.log.read_text() == "ready\n")
    return psutil.Process(child.process.pid)


def test_stopping_ends_a_child(children):
    process = ready(children.start("patient", ["patient"]))
    children.check()
    children.stop()
    assert not process.is_running()


def test_stopping_ends_a_stubborn_child_and_what_it_started(children, monkeypatch):
    monkeypatch.setattr(the_module, "STOP_LIMIT", 0.5)
    process = ready(children.start("stubborn", ["stubborn"]))
    (grandchild,) = process.children()
    children.stop()
    until(
        lambda: not psutil.pid_exists(grandchild.pid) or grandchild.status() == psutil.STATUS_ZOMBIE
    )
    assert not process.is_running()


def test_a_child_that_ends_is_reported_with_its_last_words(children):
    child = children.start("brief", ["brief"])
    child.process.wait()
    with pytest.raises(ChildDied, match=r"brief ended \(exit code 3\)[^$]*it broke"):
        children.check()


def test_a_child_that_is_killed_is_reported_with_the_signal(children):
    child = children.start("patient", ["patient"])
    child.process.kill()
    child.process.wait()
    with pytest.raises(ChildDied, match=r"patient ended \(signal 9\)"):
        children.check()


def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path, children):
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    command = [sys.executable, "-c", PARENT, str(tmp_path / "logs")]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        until(lambda: (tmp_path / "logs" / "patient.log").read_text() == "ready\n")
        parent.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(child.pid) or child.status() == psutil.STATUS_ZOMBIE)


def test_the_end_of_a_log_is_its_last_fifteen_lines(tmp_path):
    log = tmp_path / "x.log"
    log.write_bytes(b"\xff first\n" + b"".join(b"%d\n" % n for n in range(20)))
    assert the_module.tail(log).split("\n") == [str(n) for n in range(5, 20)]
