"""A new database and one of the release before, by `migrate`: the first change, and the roles."""

import json
import os

import psycopg
import pytest
from django.db import connection

from tests.normalization.processes import manage
from tests.processes import database_url

NEW = f"stage_installed_{os.getpid()}"  # several sessions may share the server
HELD = (
    "SELECT codename FROM auth_permission p "
    "JOIN auth_group_permissions h ON h.permission_id = p.id "
    "JOIN auth_group g ON g.id = h.group_id WHERE g.name = %s"
)
REVOKE = (
    "DELETE FROM auth_group_permissions WHERE (group_id, permission_id) IN (SELECT g.id, p.id "
    "FROM auth_group g, auth_permission p WHERE g.name = %s AND p.codename = %s)"
)


@pytest.fixture
def installed(db):
    """Make a database by `migrate`; return a function that asks it, and its URL."""
    names = ("host", "port", "user", "password")
    at = {name: connection.get_connection_params()[name] for name in names}
    with psycopg.connect(**at, dbname="postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {NEW}")
        url = f"{database_url().rpartition('/')[0]}/{NEW}"
        try:
            migrate(url)
            with psycopg.connect(**at, dbname=NEW, autocommit=True) as session:

                def ask(statement, *values):
                    found = session.execute(statement, values)
                    return found.fetchall() if found.description else []

                yield ask, url
        finally:
            server.execute(f"DROP DATABASE {NEW} WITH (FORCE)")


def migrate(url, *where):
    code, _, problems = manage("migrate", *where, "--verbosity", "0", DATABASE_URL=url)
    assert code == 0, problems


def test_in_a_new_database_callers_are_warned_since_it_was_installed(installed):
    ask, url = installed
    assert ask("SELECT mode, kind, actor, epoch, version FROM stageapp_modechange") == [
        ("warn", "installed", "system", 1, 1)
    ]
    assert manage("mode", "show", DATABASE_URL=url)[1] == "warn (version 1.1)\n"
    _, told, _ = manage("gates", "--json", DATABASE_URL=url)
    gate = next(gate for gate in json.loads(told)["gates"] if gate["name"] == "warn_exit")
    days = next(one for one in gate["conditions"] if one["name"] == "days")
    assert days["why"].startswith("warn period since ")
    assert "nobody has set warn" not in told
    spent = next(one for one in gate["conditions"] if one["name"] == "time_in_warn")
    assert spent["verdict"] == "pass"


def test_groups_of_the_release_before_gain_what_is_new_and_nothing_that_was_taken_away(installed):
    ask, url = installed
    migrate(url, "stageapp", "0013")
    ask(REVOKE, "Stage approvers", "change_mode")  # as that release made it
    ask(REVOKE, "Stage operators", "manage_backups")  # as a person decided
    migrate(url)
    approvers = {codename for (codename,) in ask(HELD, "Stage approvers")}
    assert {"change_mode", "rearm", "override_gate", "approve_run", "seal_target"} <= approvers
    assert "manage_backups" not in {codename for (codename,) in ask(HELD, "Stage operators")}
    assert ask("SELECT count(*) FROM stageapp_modechange") == [(1,)]
    ask(REVOKE, "Stage approvers", "seal_target")
    migrate(url)
    assert "seal_target" not in {codename for (codename,) in ask(HELD, "Stage approvers")}
