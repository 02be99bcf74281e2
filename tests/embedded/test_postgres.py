"""The embedded PostgreSQL: who runs it, who may enter, and what it is set to."""

import os
import socket
import stat
from contextlib import closing

import environ
import psutil
import psycopg
import pytest
from django.db.backends.postgresql.base import DatabaseWrapper

from stageapp import embedded
from stageapp.embedded.postgres import FORGETFUL, Postgres
from tests.embedded.conftest import as_root, ask, connect, postgres_at


@pytest.fixture(params=[16, 18])
def postgres(request, root) -> Postgres:
    embedded.provide(root, durable=False, postgres_version=request.param)
    return postgres_at(root, request.param)


def django_settings(url):
    defaults = {
        "ATOMIC_REQUESTS": False,
        "AUTOCOMMIT": True,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": False,
    }
    return {**defaults, "OPTIONS": {}, "TIME_ZONE": None, **environ.Env.db_url_config(url)}


def test_both_versions_are_set_alike(postgres):
    expected = {
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "max_connections": "100",
        "shared_buffers": "256MB",
        "max_wal_size": "2GB",
        "TimeZone": "UTC",
        "password_encryption": "scram-sha-256",
    }
    with connect(postgres) as connection:
        assert {
            name: connection.execute(f"SHOW {name}").fetchone()[0] for name in expected
        } == expected
        collation = connection.execute(
            "SELECT datlocprovider, datcollate, datctype FROM pg_database WHERE datname = 'stage'"
        ).fetchone()
    assert collation == ("c", "C", "C")
    assert ask(postgres, "SELECT lower('ÉA') || lower('Z')") == "Éaz", (
        "the C locale folds ASCII only"
    )


def test_the_url_is_what_django_connects_with(postgres, django_db_blocker):
    config = environ.Env.db_url_config(postgres.url)
    assert config["HOST"] == str(postgres.socket.parent)
    assert (config["NAME"], config["USER"], config["PORT"]) == ("stage", "stage", 5432)
    wrapper = DatabaseWrapper(django_settings(postgres.url))
    with (
        django_db_blocker.unblock(),
        closing(wrapper),
    ):  # not the session's database, so nothing to guard
        wrapper.ensure_connection()
        assert wrapper.connection.execute("SELECT current_user").fetchone() == ("stage",)
        assert wrapper.pg_version // 10000 == postgres.version


@pytest.fixture
def eighteen(running) -> Postgres:
    return postgres_at(running)


def test_a_wrong_password_is_refused(eighteen):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(
            host=str(eighteen.socket.parent), user="stage", password="guess", dbname="stage"
        )


def test_the_password_is_stored_as_scram(eighteen):
    with connect(eighteen, user="postgres", database="postgres") as connection:
        stored = connection.execute(
            "SELECT rolpassword FROM pg_authid WHERE rolname = 'stage'"
        ).fetchone()[0]
    assert stored.startswith("SCRAM-SHA-256$")


def test_the_role_may_create_databases_and_see_other_sessions_but_is_no_superuser(eighteen):
    assert ask(
        eighteen,
        "SELECT rolcreatedb AND NOT rolsuper AND NOT rolcreaterole"
        " AND pg_has_role('stage', 'pg_monitor', 'member') FROM pg_roles WHERE rolname = 'stage'",
    )


def test_nothing_listens_on_tcp(eighteen):
    assert psutil.Process(eighteen.main_pid()).net_connections("tcp") == []
    assert eighteen.socket.is_socket()


def test_the_socket_folder_is_private(eighteen):
    assert stat.S_IMODE(eighteen.socket.parent.stat().st_mode) == 0o700
    assert eighteen.location.sockets.stat().st_uid == os.geteuid()


def test_the_password_stands_in_no_other_file_and_on_no_command_line(eighteen):
    password = eighteen.location.password
    assert not list(eighteen.home.glob("*.password"))
    assert password not in eighteen.log.read_text()
    assert password not in " ".join(psutil.Process(eighteen.main_pid()).cmdline())


def test_durability_is_given_up_only_when_asked(eighteen, bare):
    assert {name: ask(eighteen, f"SHOW {name}") for name in FORGETFUL} == FORGETFUL
    embedded.stop(eighteen.location.root)
    bare.delenv("DATABASE_URL")
    embedded.provide(eighteen.location.root)
    assert {name: ask(eighteen, f"SHOW {name}") for name in FORGETFUL} == dict.fromkeys(
        FORGETFUL, "on"
    )


@as_root
def test_for_root_it_runs_as_nobody_outside_of_the_private_root(eighteen):
    process = psutil.Process(eighteen.main_pid())
    assert process.uids().real == eighteen.account.pw_uid != 0
    assert process.gids().real == eighteen.account.pw_gid != 0
    assert not eighteen.data.is_relative_to(eighteen.location.root)
    assert (eighteen.location.root / "postgres18.location").read_text().strip() == str(
        eighteen.data
    )
    assert stat.S_IMODE(eighteen.data.stat().st_mode) == 0o700


def test_another_servers_socket_is_not_taken_for_ours(eighteen):
    """A listener that answers nothing sensible must not count as our server."""
    embedded.stop(eighteen.location.root)
    with socket.socket(socket.AF_UNIX) as stranger:
        stranger.bind(str(eighteen.socket))
        stranger.listen()
        stranger.settimeout(5)
        assert not eighteen.answers()
