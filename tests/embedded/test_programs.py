"""The wheels' programs, and the copy that another user can run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from stageapp import embedded
from stageapp.embedded import programs
from tests.embedded.conftest import as_root


@pytest.mark.parametrize("version", [16, 18])
@pytest.mark.parametrize("name", ["pg_dump", "pg_restore", "psql", "pgbench", "pg_basebackup"])
def test_every_client_program_runs(version, name):
    program = embedded.client_programs(version) / name
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert f"(PostgreSQL) {version}." in done.stdout


def test_the_environment_chooses_the_client_programs(monkeypatch):
    monkeypatch.setenv("STAGE_EMBEDDED_POSTGRES", "16")
    assert embedded.client_programs() == programs.postgres_programs(16)


def test_a_copy_is_made_once_and_open_to_all(tmp_path):
    folder = programs.copy_postgres_programs(18, tmp_path)
    made = (folder / "postgres").stat().st_ctime_ns
    assert programs.copy_postgres_programs(18, tmp_path) == folder
    assert (folder / "postgres").stat().st_ctime_ns == made
    assert all(
        path.is_symlink() or path.stat().st_mode & 0o044 == 0o044 for path in tmp_path.rglob("*")
    )


def test_an_interrupted_copy_is_begun_anew(tmp_path):
    folder = programs.copy_postgres_programs(18, tmp_path)
    copy = tmp_path / folder.relative_to(tmp_path).parts[0]
    half = copy.rename(copy.with_name(f"{copy.name}.new"))
    next(half.rglob("postgres.bki")).unlink()
    assert (programs.copy_postgres_programs(18, tmp_path).parent / "share").exists()
    assert list(copy.rglob("postgres.bki"))
    assert not half.exists()


@as_root
def test_nobody_can_run_the_copy():
    open_folder = Path("/var/tmp") / f"stage-programs-{os.getpid()}"
    open_folder.mkdir(mode=0o755)
    try:
        initdb = programs.copy_postgres_programs(18, open_folder) / "initdb"
        done = subprocess.run(
            [initdb, "--version"], user=65534, group=65534, extra_groups=[], capture_output=True
        )
        assert done.returncode == 0, done.stderr
    finally:
        shutil.rmtree(open_folder)


@pytest.mark.parametrize(
    "function, variable",
    [(embedded.client_programs, "DATABASE_URL"), (programs.redis_program, "REDIS_URL")],
)
def test_a_missing_wheel_is_reported_with_both_ways_out(monkeypatch, function, variable):
    monkeypatch.setattr(programs, "find_spec", lambda name: None)
    with pytest.raises(embedded.EmbeddedError, match=f"requirements.txt`, or set {variable}"):
        function()
