"""`provide`, `status` and `stop`: what an entry point, and the person behind it, gets."""

import json
import os
from pathlib import Path

import pytest

from stageapp import embedded
from tests.embedded.conftest import ask, discard, keep_a_seven, postgres_at, redis_at, redis_client


def test_it_starts_both_servers_and_sets_their_urls(root):
    services = embedded.provide(root, durable=False)
    assert services is not None
    assert services.started == ("postgres18", "redis")
    assert os.environ["DATABASE_URL"] == services.database_url
    assert os.environ["REDIS_URL"] == services.redis_url
    assert os.environ["STAGE_EMBEDDED"] == "1"
    assert (
        ask(postgres_at(root), "SELECT current_user || ' in ' || current_database()")
        == "stage in stage"
    )
    with redis_client(services.redis_url) as client:
        assert client.ping()


def test_a_child_process_trusts_the_urls_it_inherits(running, tmp_path):
    assert embedded.provide(tmp_path / "other") is None
    assert not (tmp_path / "other").exists()


def test_a_second_command_finds_the_same_servers(running, bare):
    pids = [server.pid for server in embedded.status(running)]
    bare.delenv("DATABASE_URL")
    bare.delenv("REDIS_URL")
    services = embedded.provide(running, durable=False)
    assert services is not None
    assert services.started == ()
    assert [server.pid for server in embedded.status(running)] == pids


@pytest.mark.parametrize("form", ["{}", "{}_FILE"])
def test_it_does_nothing_where_both_urls_are_set(root, bare, form):
    for name in ("DATABASE_URL", "REDIS_URL"):
        bare.setenv(form.format(name), "/run/secrets/some-url")
    assert embedded.provide(root) is None
    assert not root.exists()
    assert "STAGE_EMBEDDED" not in os.environ


def test_it_reads_the_dotenv_file_before_it_decides(root, bare, tmp_path):
    (tmp_path / ".env").write_text(
        "DATABASE_URL=postgres://db.internal/x\nREDIS_URL=redis://cache.internal/0\n"
    )
    # Known to the fixture, so that what the file sets is taken back after the test.
    bare.setenv("DATABASE_URL", "")
    bare.setenv("REDIS_URL", "")
    bare.delenv("DATABASE_URL")
    bare.delenv("REDIS_URL")
    assert embedded.provide(root) is None
    assert os.environ["DATABASE_URL"] == "postgres://db.internal/x"


def test_with_an_own_database_only_redis_is_started(root, bare):
    bare.setenv("DATABASE_URL", "postgres://db.internal/x")
    bare.setenv("DEBUG", "1")
    services = embedded.provide(root)
    assert services is not None
    assert (services.started, services.database_url) == (("redis",), None)
    assert os.environ["DATABASE_URL"] == "postgres://db.internal/x"
    assert "STAGE_EMBEDDED" not in os.environ, "or the settings would take that database for a toy"


def test_with_an_own_redis_only_postgres_is_started(root, bare):
    bare.setenv("REDIS_URL", "redis://cache.internal/0")
    services = embedded.provide(root, durable=False)
    assert services is not None
    assert (services.started, services.redis_url) == (("postgres18",), None)
    assert os.environ["REDIS_URL"] == "redis://cache.internal/0"


@pytest.mark.parametrize("off", ["0", "false", "no", "False"])
def test_it_refuses_where_debug_is_off(root, bare, off):
    bare.setenv("DEBUG", off)
    with pytest.raises(
        embedded.EmbeddedError, match="Set DATABASE_URL and REDIS_URL: DEBUG is off"
    ):
        embedded.provide(root)
    assert not root.exists()


def test_it_refuses_a_forgotten_redis_beside_an_own_database(root, bare):
    bare.setenv("DATABASE_URL", "postgres://db.internal/x")
    with pytest.raises(embedded.EmbeddedError, match="Set REDIS_URL: DEBUG is off"):
        embedded.provide(root)


def test_it_says_where_it_may_not_write(bare, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        embedded.EmbeddedError, match=r"cannot be started.*or set DATABASE_URL and REDIS_URL"
    ):
        embedded.provide(tmp_path / "file" / "root")


def test_data_outlives_a_stop(running, bare):
    keep_a_seven(running)
    with redis_client(redis_at(running).url) as client:
        client.set("kept", "7")
    assert embedded.stop(running) == ["postgres18", "redis"]
    bare.delenv("DATABASE_URL")
    bare.delenv("REDIS_URL")
    embedded.provide(running)
    assert ask(postgres_at(running), "SELECT n FROM kept") == 7
    with redis_client(redis_at(running).url) as client:
        assert client.get("kept") == "7"


def test_stop_is_idempotent(running):
    assert embedded.stop(running) == ["postgres18", "redis"]
    assert embedded.stop(running) == []
    assert [server.state for server in embedded.status(running)] == ["stopped", "stopped"]


def test_status_and_stop_of_an_unused_root_leave_no_trace(root):
    assert embedded.status(root) == []
    assert embedded.stop(root) == []
    assert not root.exists()


def test_status_names_the_running_servers(running):
    assert [(server.name, server.state) for server in embedded.status(running)] == [
        ("postgres18", "running"),
        ("redis", "running"),
    ]


CHILD = """
import json, sys
from pathlib import Path
from stageapp import embedded
embedded.PROJECT = Path(sys.argv[1]).parent
print(json.dumps(embedded.provide(Path(sys.argv[1]), durable=False).started))
"""


def test_processes_that_start_together_share_one_pair_of_servers(root, start_python):
    children = [start_python(CHILD, root) for _ in range(4)]
    outputs = [child.communicate(timeout=90) for child in children]
    assert [child.returncode for child in children] == [0] * 4, outputs
    started = [name for output, _ in outputs for name in json.loads(output)]
    assert sorted(started) == ["postgres18", "redis"]


def test_a_moved_root_keeps_its_data(running, bare, tmp_path):
    keep_a_seven(running)
    moved = running.rename(tmp_path / "moved")
    bare.delenv("DATABASE_URL")
    bare.delenv("REDIS_URL")
    try:
        embedded.provide(moved, durable=False)
        assert ask(postgres_at(moved), "SELECT n FROM kept") == 7
        assert [server.state for server in embedded.status(moved)] == ["running", "running"]
    finally:
        discard(moved)


def test_the_older_postgres_has_data_of_its_own(root, bare):
    bare.setenv("STAGE_EMBEDDED_POSTGRES", "16")
    services = embedded.provide(root, durable=False)
    assert services is not None
    assert services.started == ("postgres16", "redis")
    assert str(ask(postgres_at(root, 16), "SHOW server_version")).startswith("16.")
    bare.delenv("STAGE_EMBEDDED_POSTGRES")
    bare.delenv("DATABASE_URL")
    embedded.provide(root, durable=False)
    assert str(ask(postgres_at(root), "SHOW server_version")).startswith("18.")
    assert embedded.stop(root) == ["postgres16", "postgres18", "redis"]


@pytest.mark.parametrize("version", ["17", "sixteen"])
def test_an_unknown_postgres_version_is_refused(root, bare, version):
    bare.setenv("STAGE_EMBEDDED_POSTGRES", version)
    with pytest.raises(embedded.EmbeddedError, match="set it to 16 or 18"):
        embedded.provide(root)


def test_the_client_programs_are_there():
    folder: Path = embedded.client_programs(18)
    assert all(
        os.access(folder / name, os.X_OK) for name in ("pg_dump", "pg_restore", "psql", "pgbench")
    )
