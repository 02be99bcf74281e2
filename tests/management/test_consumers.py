"""`manage.py consumers`: the audit in its three forms, its exit codes, and what goes to stdout."""

import csv
import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from stageapp.consumers import contacts, sightings
from tests.api.calls import post

PROJECT = Path(__file__).resolve().parents[2]
LOG = (
    '8.8.8.8 - - [22/Nov/2026:14:00:07 +0000] "GET /api/funds/1/companies?stage=Serie%20B '
    'HTTP/1.1" 200 1\nnonsense\n'
)


def run(*arguments):
    out = io.StringIO()
    call_command("consumers", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.fixture
def traffic(client_of, consumer):
    contacts.buffer.forget()
    sightings.buffer.forget()
    post(client_of(consumer), "monte_carlo", {"Series A": 0.5, "Seires B": 0.5})
    contacts.flush()
    sightings.flush()


@pytest.mark.django_db
def test_without_a_verb_it_is_the_audit(traffic):
    said = run()
    assert "alpha (valid, read, write), last seen 20" in said
    assert "monte_carlo 1; from internal; agents none" in said
    assert "sent 2 stages, 1 of them unknown (50 %)" in said
    assert "→ send series_a" in said
    assert '"Seires B"' in said
    assert "unknown: unmapped, maybe series_b" in said
    assert "1 callers, 1 of them sent something not canonical in the last 7 days" in said


@pytest.mark.django_db
def test_json_is_one_document(traffic):
    document = json.loads(run("--json", "--days", "30"))
    (alpha,) = document["consumers"]
    assert document["days"] == 30
    assert (alpha["name"], alpha["unknown_share"], alpha["endpoints"]) == (
        "alpha",
        0.5,
        {"monte_carlo": 1},
    )
    assert {it["value"]: it["send"] for it in alpha["still_sends"]} == {
        "series a": "series_a",
        "seires b": None,
    }
    assert alpha["contacts"][0]["network"] == "internal"


@pytest.mark.django_db
def test_csv_goes_to_a_file_or_to_stdout(traffic, tmp_path):
    run("--csv", str(tmp_path / "audit.csv"))
    written = (tmp_path / "audit.csv").read_text()
    assert len(list(csv.reader(io.StringIO(written)))) == 3
    assert run("--csv", "-").splitlines() == written.splitlines()


@pytest.mark.django_db
def test_nobody_there_is_told_what_to_do():
    assert "consumers token" in run()


@pytest.mark.django_db
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_access_log_is_audited(tmp_path, pack):
    (tmp_path / "access.log").write_bytes(pack(LOG.encode()))
    said = run("--access-log", str(tmp_path / "access.log"))
    assert "8.8.8.8 (external), last seen 2026-11-22 14:00:07 UTC" in said
    assert "→ send series_b" in said
    assert "2 lines (common 1), 0 requests to other paths, 1 malformed lines." in said
    assert "line 2: neither common nor combined nor JSON: 'nonsense'" in said
    assert "A log contains no request bodies" in said
    document = json.loads(run("--access-log", str(tmp_path / "access.log"), "--json"))
    assert (document["malformed"], document["clients"][0]["still_sends"][0]["value"]) == (
        1,
        "Serie B",
    )
    assert "contains no request bodies" in document["note"]
    rows = list(
        csv.reader(io.StringIO(run("--access-log", str(tmp_path / "access.log"), "--csv", "-")))
    )
    assert dict(zip(*rows, strict=True))["send_instead"] == "series_b"


@pytest.mark.django_db
def test_stage_literals_in_code_fail_the_command_and_a_clean_tree_does_not(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 'Series A'\n")
    out = io.StringIO()
    with pytest.raises(
        CommandError, match="1 stage literals are not canonical, 0 are unknown"
    ) as refused:
        call_command("consumers", "--code", str(tmp_path), stdout=out)
    assert refused.value.returncode == 1
    assert f"{tmp_path}/a.py:2:5: 'Series A': write \"series_a\"" in out.getvalue()
    (tmp_path / "a.py").write_text("x = 1\ny = 'series_a'\n")
    assert "1 files, 21 characters" in run("--code", str(tmp_path))


@pytest.mark.django_db
def test_what_is_too_large_is_said_aloud(tmp_path):
    (tmp_path / "a.py").write_text("y = 'Series A'\n")
    assert "a.py: 15 bytes; raise --max-bytes to include it" in run(
        "--code", str(tmp_path), "--max-bytes", "10"
    )


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--code", "no/such/path"], 2),
        (["--code", ".", "--csv", "-"], 2),
        (["--code", ".", "--access-log", "x"], 2),
        (["--json", "--csv", "-"], 2),
        (["--days", "0"], 2),
        (["--access-log", "no/such.log"], 1),
        (["--code", "{tmp_path}", "--json"], 1),
        (["--code", "{tmp_path}/clean.py", "--json"], 0),
    ],
)
def test_exit_codes_of_the_real_command(tmp_path, arguments, code):
    (tmp_path / "a.py").write_text("y = 'Series A'\n")
    (tmp_path / "clean.py").write_text("y = 'series_a'\n")
    done = command(
        *(argument.format(tmp_path=tmp_path) for argument in arguments), "--shipped-vocabulary"
    )
    assert done.returncode == code, done.stderr
    if "--json" in arguments and "--code" in arguments:
        assert len(json.loads(done.stdout)["literals"]) == code
    if code:
        assert "Traceback" not in done.stderr
    if "no/such" in str(arguments):
        assert "no/such" in done.stderr


def test_a_guard_in_ci_needs_no_server(tmp_path):
    (tmp_path / "a.py").write_text("y = 'Series A'\n")
    done = command(
        "--code",
        str(tmp_path),
        "--shipped-vocabulary",
        DATABASE_URL="postgres://nobody@127.0.0.1:1/none",
    )
    assert 'write "series_a"' in done.stdout
    assert done.returncode == 1


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "manage.py", "consumers", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "SECRET_KEY": "x" * 50, **environment},
        check=False,
    )
