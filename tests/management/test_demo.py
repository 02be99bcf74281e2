"""`manage.py demo` from a clone of its own: real servers, real web, real worker, and nothing
left behind.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.embedded.conftest import ask, connect, discard, postgres_at

PROJECT = Path(__file__).resolve().parents[2]
SET_BY_THE_SESSION = ("DATABASE_URL", "REDIS_URL", "STAGE_", "DJANGO_SETTINGS_MODULE", "DEBUG")
READY = "Ctrl-C ends all of it"


class Clone:
    """A copy of the project; `run` and `start` are what a person types in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in ("config", "stageapp", "templates"):
            shutil.copytree(
                PROJECT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(PROJECT / "manage.py", path)

    def start(self, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(SET_BY_THE_SESSION)
        }
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=self.path,
            env=clean | variables,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        with self.start(*arguments, **variables) as process:
            output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def processes(self) -> list[str]:
        """Return the processes of the product that work in this clone; servers work in folders
        of their own.
        """
        found = []
        for process in psutil.process_iter():
            try:
                if process.cwd() == str(self.path) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()[1:4]))
            except psutil.Error:
                continue
        return sorted(found)

    def servers(self) -> dict[str, str]:
        _, output = self.run("services", "status", "--json")
        return {server["name"]: server["state"] for server in json.loads(output)["servers"]}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clone]:
    made = Clone(tmp_path_factory.mktemp("clone"))
    yield made
    discard(made.path / ".local")


def until(holds: Callable[[], object], seconds: float = 40.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def within(process: "subprocess.Popen[str]", seconds: float) -> Iterator[None]:
    """Kill a process that says nothing more, so that reading from it ends."""
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()
        watchdog.join()


def read_until(process: "subprocess.Popen[str]", text: str) -> str:
    seen = ""
    with within(process, 180):
        while text not in seen:
            line = process.stdout.readline()
            assert line, seen
            seen += line
    return seen


def read_to_the_end(process: "subprocess.Popen[str]") -> str:
    with within(process, 90):
        return process.stdout.read()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, token: str = "", body: object = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    headers = {"Content-Type": "application/json"} | (
        {"Authorization": f"Token {token}"} if token else {}
    )
    connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def databases(clone: Clone) -> list[str]:
    with connect(postgres_at(clone.path / ".local")) as connection:
        return [
            name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()
        ]


@pytest.mark.full
def test_a_walk_that_is_killed_leaves_no_process_and_the_next_one_passes(clone):
    with clone.start("demo", "--once", "--rows", "2000") as killed:
        read_until(killed, "4. Plan")
        assert any("gunicorn" in line for line in clone.processes())
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        until(lambda: not clone.processes())
    assert "stage_demo_once" in databases(clone)

    code, report = clone.run("demo", "--once", "--rows", "2000")
    assert code == 0, report
    assert re.search("PASSED: all \\d+ checks in 9 steps passed,", report)
    assert "FAILED" not in report
    assert clone.processes() == []
    assert set(clone.servers().values()) == {"running"}  # they ran before, so they run on
    assert databases(clone).count("stage_demo_once") == 0
    assert ask(postgres_at(clone.path / ".local"), "SELECT to_regclass('stageapp_fund')") is None


@pytest.mark.full
def test_a_walk_whose_step_does_not_hold_fails_and_says_which(clone):
    code, report = clone.run(
        "demo", "--once", "--rows", "500", STAGE_PLAN_MAX_AGE_HOURS="0.0000001"
    )
    assert code == 1
    assert "   FAILED  the step ends: expected without an error, found PlanRefused" in report
    assert "NOT PASSED: 1 checks failed" in report
    assert "Traceback" not in report
    assert clone.processes() == []


def test_the_site_stands_until_ctrl_c_and_then_all_of_it_ends(clone):
    clone.run("services", "stop")
    port = free_port()
    with clone.start("demo", "--rows", "2000", "--port", str(port)) as demo:
        said = read_until(demo, READY)
        assert "A portfolio of 2,000 companies was created." in said
        assert f"http://127.0.0.1:{port}/admin/" in said
        token = re.search(r"Token +(\S+) \(shown only now\)", said)[1]
        assert re.search(r"Admin +admin, password \S+ \(shown only now\)", said)
        assert get(port, "/admin/login/")[0] == 200
        assert get(port, "/static/admin/css/base.css")[0] == 200
        status, answer = get(port, "/api/stages/normalize", token, {"values": ["Series-A "]})
        assert (status, json.loads(answer)["results"][0]["stage"]) == (200, "series_a")

        code, refusal = clone.run("demo", "--port", str(port))
        assert (code, refusal.count("\n")) == (1, 1)
        assert f"Port {port} cannot be used" in refusal

        demo.send_signal(signal.SIGINT)
        assert "Stopped." in read_to_the_end(demo)
    assert demo.returncode == 0
    assert clone.processes() == []
    assert set(clone.servers().values()) == {"stopped"}  # this demo had started them


@pytest.mark.full
def test_a_second_demo_keeps_the_data_and_one_that_is_killed_leaves_no_process(clone):
    with clone.start("demo", "--rows", "2000", "--port", str(free_port())) as demo:
        said = read_until(demo, READY)
        assert "The existing companies are kept." in said
        assert "changepassword admin" in said
        assert "consumers token --name NAME" in said
        running = clone.processes()
        assert [
            part for part in ("gunicorn", "celery") if not any(part in line for line in running)
        ] == []
        demo.send_signal(signal.SIGKILL)
        demo.wait()
        until(lambda: not clone.processes())


def test_a_part_that_ends_early_ends_the_demo_with_its_last_words(clone):
    code, said = clone.run(
        "demo", "--port", str(free_port()), STAGE_BROKER_URL="nonsense://nowhere"
    )
    assert code == 1
    assert re.search(
        r"The (worker|beat) ended \(exit code \d+\)\. The end of \S+\.log:\n[^$]*nonsense", said
    ), said
    assert "Traceback" not in said.split("The end of")[0]
    assert clone.processes() == []


def test_a_database_of_the_users_own_is_refused(clone):
    own = {"DATABASE_URL": "postgres://u:p@localhost:1/own", "REDIS_URL": "redis://localhost:1/0"}
    for arguments in ([], ["--once"]):
        code, said = clone.run(
            "demo", *arguments, **own, SECRET_KEY="x" * 50, STAGE_REQUIRE_BACKUP="0"
        )
        assert (code, said.count("\n")) == (1, 1)
        assert "Unset both" in said


def test_a_setting_that_is_missing_is_one_line_and_no_traceback(clone):
    own = {"DATABASE_URL": "postgres://u:p@localhost:1/own", "REDIS_URL": "redis://localhost:1/0"}
    code, said = clone.run("demo", **own)
    assert (code, said.count("\n")) == (1, 1)
    assert "Set SECRET_KEY" in said


@pytest.mark.full
def test_a_walk_that_is_interrupted_ends_everything_and_has_not_passed(clone):
    with clone.start("demo", "--once", "--rows", "500") as walk:
        read_until(walk, "3. Warn")
        walk.send_signal(signal.SIGTERM)
        said = read_to_the_end(walk)
    assert walk.returncode == 1
    assert said.count("Stopped.") == 1
    assert "PASSED" not in said
    assert clone.processes() == []
    if "running" in clone.servers().values():
        assert "stage_demo_once" not in databases(clone)


@pytest.mark.parametrize(
    "arguments", [["--rows", "0"], ["--rows", "many"], ["--port", "70000"], ["--twice"]]
)
def test_wrong_usage_is_exit_code_2(clone, arguments):
    assert clone.run("demo", *arguments)[0] == 2
