"""What long work shows on stderr: how far it is where that can be known, and how long it has
taken.
"""

import contextlib
import os
import re
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command

from stageapp.management import bars
from tests.processes import PROJECT

WORK = """
import os, sys, time
from stageapp.management import bars
bars.SILENT_SECONDS = float(sys.argv[2])
with {with_}:
    {body}
    time.sleep(0.05)
"""
READ = "[os.read(0, 1000) for _ in range(500)]"


def show(with_, body, *, silent=0.0, stdin=None):
    code = WORK.format(with_=with_, body=body)
    done = subprocess.run(
        [sys.executable, "-c", code, "-", str(silent)],
        cwd=PROJECT,
        stdin=stdin,
        capture_output=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        timeout=60,
    )
    return done.stderr.decode()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "input"
    path.write_bytes(b"x" * 1_000_000)
    with path.open("rb") as opened:
        yield opened


def test_a_file_shows_share_rate_and_time_left(file):
    shown = show("bars.reading(0)", READ, stdin=file)
    assert re.search(r"reading: +50%.*500k/1\.00M \[\d\d:\d\d<\d\d:\d\d, .*B/s\]", shown), shown


def test_work_that_tells_no_progress_shows_its_time():
    assert re.search(r"counting: \d\d:\d\d", show("bars.working('counting')", "pass"))


def test_a_pipe_shows_its_time():
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert re.search(r"reading: \d\d:\d\d", show("bars.reading(0)", READ, stdin=pipe))


@pytest.mark.parametrize("more", [{"silent": 60.0}, {}], ids=["short work", "quiet"])
def test_short_work_and_quiet_work_show_nothing(file, more):
    quiet = "" if more else ", quiet=True"
    assert show(f"bars.reading(0{quiet})", READ, stdin=file, **more) == ""
    assert show(f"bars.working('counting'{quiet})", "pass", **more) == ""


def test_an_error_passes_through_unchanged(file):
    body = "raise SystemExit(3)"
    with pytest.raises(subprocess.CalledProcessError) as error:
        show("bars.reading(0)", body, stdin=file)
    assert error.value.returncode == 3


@pytest.mark.django_db
@pytest.mark.parametrize(
    "line, what",
    [
        ("gates", "evaluating the gates"),
        ("rollout members", "members"),
        ("vocabulary versions", "versions"),
        ("unknowns list", "list"),
        ("normalization preflight", "checking table and server"),
        ("normalization plan", "reading the column"),
        ("normalization seal --dry-run --reason look", "reading the column"),
        ("normalization guard off --reason look", "waiting for the table"),
        ("normalization unseal --reason look", "waiting for the table"),
        ("mode set off --reason quiet --wait 0", "waiting for every process"),
    ],
)
def test_a_command_that_asks_postgres_shows_that_it_works_unless_it_answers_in_json(
    line, what, monkeypatch, capsys
):
    monkeypatch.setattr(bars, "SILENT_SECONDS", 0.0)
    for more, shown in (([], True), (["--json"], False)):
        with contextlib.suppress(CommandError):  # what it answers is told elsewhere
            call_command(*line.split(), *more)
        assert (f"{what}: 00:" in capsys.readouterr().err) is shown
