"""The restore runbook, step by step as a person types it, from a machine with an empty database
to a working system.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stageapp.backups import create
from tests.backups.databases import drop
from tests.normalization.evidence import database_url, sql

PROJECT = Path(__file__).resolve().parents[2]
RUNBOOK = PROJECT / "docs" / "runbooks" / "restore.md"
BLOCK = re.compile(r"```sh ?(\w*)\n(.*?)```", re.DOTALL)
EMPTY = f"stage_empty_{os.getpid()}"  # several sessions may share the server


@pytest.fixture
def machine(backups, tmp_path):
    """Return the environment of a machine that has the backups and the key, and an empty
    database.
    """
    create.create()
    _drop_all()
    sql(f'CREATE DATABASE "{EMPTY}"')
    yield os.environ | {
        "DATABASE_URL": database_url().rpartition("/")[0] + f"/{EMPTY}",
        "STAGE_EMBEDDED": "0",
        "DEBUG": "0",
        "REDIS_URL": os.environ["REDIS_URL"],
        "SECRET_KEY": "s" * 50,
        "STAGE_BACKUP_DIR": str(backups),
        "STAGE_BACKUP_KEY": "k" * 32,
        "PGPASSWORD": _password(),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONWARNINGS": "ignore",
    }
    _drop_all()


def _password():
    return database_url().split("://", 1)[1].split("@")[0].partition(":")[2]


def _drop_all():
    drop(
        *[
            name
            for (name,) in sql(
                "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", EMPTY
            )
        ]
    )


def typed(lines, environment):
    done = subprocess.run(
        ["bash", "-euc", lines],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def printed_command(steps):
    """Return the psql command that the restore printed, as it stands there."""
    lines = steps.splitlines()
    start = next(i for i, line in enumerate(lines) if line.endswith("<<'SQL'"))
    return "\n".join(lines[start : lines.index("SQL", start) + 1])


def test_a_person_who_follows_the_runbook_reaches_a_working_system(machine):
    expected = sql("SELECT stage, count(*) FROM stageapp_portfoliocompany GROUP BY 1 ORDER BY 1")
    ran = []
    for kind, lines in BLOCK.findall(RUNBOOK.read_text(encoding="utf-8")):
        if kind == "install":  # the tests run in what it installs
            assert lines.strip() == "pip install -r requirements.txt"
            continue
        output = typed(lines, machine)
        ran += [shlex.split(line)[2:4] for line in lines.strip().splitlines()]
        if kind == "restore":
            assert "matches its manifest" in output
            typed(printed_command(output), machine)
    assert ["backup", "restore"] in ran
    assert ran[-1] == ["backup", "rehearse"]
    found = typed(
        "python manage.py shell -v0 -c 'from stageapp.models import PortfolioCompany as P; "
        "import json; print(json.dumps(sorted([s, P.objects.filter(stage=s).count()] "
        'for s in set(P.objects.values_list("stage", flat=True)))))\'',
        machine,
    )
    assert [tuple(pair) for pair in json.loads(found)] == sorted(expected)
    names = {
        name
        for (name,) in sql("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", EMPTY)
    }
    assert EMPTY in names
    assert len(names) == 2, "the old database is kept, under another name"
