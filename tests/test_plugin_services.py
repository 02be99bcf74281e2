"""The pytest plugin: servers before the settings, one pair for all sessions, gone after the
last.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp import embedded
from tests import plugin_services
from tests.embedded.conftest import VARIABLES, discard
from tests.plugin_services import redis_number

PROJECT = Path(__file__).resolve().parents[1]
SETTINGS = """
import os
import environ
SECRET_KEY = "for this test only"
DATABASES = {"default": environ.Env().db("DATABASE_URL")}
DATABASES["default"]["TEST"] = {"NAME": os.environ.get("STAGE_TEST_DATABASE_NAME", "test_stage")}
INSTALLED_APPS = []
USE_TZ = True
"""
TEST = """
import json, os, time
from pathlib import Path
import pytest, redis
from django.conf import settings
from django.db import connection

@pytest.mark.django_db
def test_it(tmp_path):
    client = redis.Redis.from_url(os.environ["REDIS_URL"])
    seen = {"redis": client.client_list()[0]["db"], "database": connection.settings_dict["NAME"],
            "fsync": connection.cursor().execute("SHOW fsync").fetchone()[0]}
    client.close()
    folder = Path(os.environ["REPORT"])
    (folder / "seen.json").write_text(json.dumps(seen))
    while (folder / "wait").exists():
        time.sleep(0.02)
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
"""
OPTIONS = """
[tool.pytest.ini_options]
addopts = "-p tests.plugin_services -p no:cacheprovider"
pythonpath = ["."]
DJANGO_SETTINGS_MODULE = "small_settings"
filterwarnings = ["error"]
"""


@pytest.fixture
def project(tmp_path) -> Iterator[Path]:
    """Return a small project that uses the plugin, with servers of its own."""
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    shutil.copytree(
        PROJECT / "stageapp", folder / "stageapp", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(PROJECT / "tests" / "plugin_services.py", folder / "tests")
    (folder / "tests" / "__init__.py").write_text("")
    (folder / "tests" / "test_it.py").write_text(TEST)
    (folder / "small_settings.py").write_text(SETTINGS)
    (folder / "pyproject.toml").write_text(OPTIONS)
    yield folder
    discard(folder / ".local" / "test")


def session(
    project: Path, report: Path, *arguments: str, **variables: str
) -> "subprocess.Popen[str]":
    report.mkdir(exist_ok=True)
    ours = [
        *VARIABLES,
        "STAGE_TEST_SUFFIX",
        "STAGE_TEST_DATABASE_NAME",
        "DJANGO_SETTINGS_MODULE",
        "PYTHONPATH",
        "PYTEST_XDIST_WORKER",
    ]
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    return subprocess.Popen(
        [shutil.which("pytest", path=Path(sys.executable).parent), "-q", *arguments],
        cwd=project,
        env=clean | {"REPORT": str(report)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    output, _ = process.communicate(timeout=90)
    assert process.returncode == code, output
    return output


def states(project: Path) -> set[str]:
    return {server.state for server in embedded.status(project / ".local" / "test")}


def test_a_session_has_servers_and_leaves_none(project, tmp_path):
    finish(session(project, tmp_path / "one"))
    seen = json.loads((tmp_path / "one" / "seen.json").read_text())
    assert seen == {"redis": "1", "database": "test_stage", "fsync": "off"}
    assert states(project) == {"stopped"}


def test_the_last_of_several_sessions_stops_the_servers(project, tmp_path):
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "wait").write_text("")
    slow = session(project, tmp_path / "slow", STAGE_TEST_SUFFIX="Slow")
    wait_for(tmp_path / "slow" / "seen.json")
    finish(session(project, tmp_path / "quick", STAGE_TEST_SUFFIX="Q"))
    assert states(project) == {"running"}, "the quick session must not stop what the slow one uses"
    (tmp_path / "slow" / "wait").unlink()
    finish(slow)
    assert states(project) == {"stopped"}
    seen = [json.loads((tmp_path / name / "seen.json").read_text()) for name in ("slow", "quick")]
    assert [report["database"] for report in seen] == ["test_stage_slow", "test_stage_q"]
    assert [report["redis"] for report in seen] == [
        str(redis_number("Slow")),
        str(redis_number("Q")),
    ]


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_configured_urls_are_left_alone(project, tmp_path):
    own = {"DATABASE_URL": os.environ["DATABASE_URL"], "REDIS_URL": os.environ["REDIS_URL"]}
    finish(session(project, tmp_path / "own", STAGE_TEST_DATABASE_NAME="test_plugin_own", **own))
    assert states(project) == set()


def test_a_bad_suffix_is_wrong_usage(project, tmp_path):
    output = finish(session(project, tmp_path / "bad", STAGE_TEST_SUFFIX="a-b"), code=4)
    assert "use at most 20 letters and digits" in output


@pytest.mark.parametrize("suffix", ["a b", "a" * 21, "é", "a\n"])
def test_every_bad_suffix_is_refused_before_anything_starts(pytestconfig, monkeypatch, suffix):
    monkeypatch.setenv("STAGE_TEST_SUFFIX", suffix)
    with pytest.raises(pytest.UsageError, match="use at most 20 letters and digits"):
        plugin_services._provide(pytestconfig)


def test_a_refusal_is_one_clear_line(project, tmp_path):
    output = finish(session(project, tmp_path / "off", DEBUG="0"), code=4)
    assert "Set DATABASE_URL and REDIS_URL: DEBUG is off" in output
    assert "Traceback" not in output


def test_version_starts_nothing(project, tmp_path):
    finish(session(project, tmp_path / "version", "--version"))
    assert not (project / ".local").exists()


def test_single_letters_have_redis_numbers_of_their_own():
    numbers = {redis_number(chr(letter)) for letter in range(ord("A"), ord("Z") + 1)}
    assert len(numbers) == 26
    assert numbers <= set(range(2, 64))
    assert redis_number("a") == redis_number("A"), "as they share the test database"


@given(st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True))
def test_every_suffix_has_a_redis_number_that_exists(suffix):
    assert 2 <= redis_number(suffix) < 64
    assert redis_number("") == 1
