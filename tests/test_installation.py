"""A new database, by `migrate`: the first facts and the roles; to nothing, and back again."""

import json
import os

import psycopg
import pytest
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from stageapp.sql import FOLDER, RunSQLFile
from tests.normalization.processes import manage
from tests.processes import database_url

NEW = f"stage_installed_{os.getpid()}"  # several sessions may share the server
HELD = (
    "SELECT codename FROM auth_permission p "
    "JOIN auth_group_permissions h ON h.permission_id = p.id "
    "JOIN auth_group g ON g.id = h.group_id WHERE g.name = %s"
)
COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default
  FROM information_schema.columns WHERE table_schema = 'public'"""
OBJECTS = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
 WHERE connamespace = 'public'::regnamespace
 UNION ALL
SELECT tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
 UNION ALL
SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
 UNION ALL
SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'
 UNION ALL
SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"""
FACTS = """
SELECT (SELECT array_agg(slug || label) FROM stageapp_stage), (SELECT count(*) FROM stageapp_stagealias),
       (SELECT array_agg(number) FROM stageapp_vocabularyversion),
       (SELECT count(*) FROM stageapp_foldingcharacter), (SELECT count(*) FROM stageapp_foldingrange),
       (SELECT count(*) FROM stageapp_textrule), (SELECT count(*) FROM stageapp_textword),
       (SELECT count(*) FROM stageapp_assumptionchange),
       (SELECT array_agg(kind) FROM stageapp_modechange)"""
# What the product leaves at a column of somebody else's table: a seal and a guard.
OTHERS = """
CREATE TABLE deal (stage text CONSTRAINT stageapp_seal_00c0ffee_1 CHECK (stage <> 'Seed'));
CREATE FUNCTION stageapp_guard_00c0ffee() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER stageapp_guard_00c0ffee_insert BEFORE INSERT ON deal
   FOR EACH ROW EXECUTE FUNCTION stageapp_guard_00c0ffee()"""


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


def test_all_of_it_can_be_taken_back_and_made_again(installed):
    ask, url = installed
    made, facts = {*ask(COLUMNS), *ask(OBJECTS)}, ask(FACTS)
    ask(OTHERS)

    migrate(url, "stageapp", "zero")

    left = {*ask(COLUMNS), *ask(OBJECTS)}
    assert left < made | {("deal", "stage", "text", "YES", None)}
    assert [one for one in left if "stage" in str(one)] == [("deal", "stage", "text", "YES", None)]

    migrate(url)

    ask("DROP TABLE deal")
    assert {*ask(COLUMNS), *ask(OBJECTS)} == made
    assert ask(FACTS) == facts
    assert "seal_target" in {codename for (codename,) in ask(HELD, "Stage approvers")}


def test_going_back_keeps_facts_and_going_forward_adds_none_twice(installed):
    ask, url = installed
    ask("UPDATE stageapp_stage SET label = 'Sown' WHERE slug = 'seed'")  # as a person decided
    ask("DELETE FROM stageapp_stagealias WHERE key = 'series a'")
    facts = ask(FACTS)

    migrate(url, "stageapp", "0007")
    migrate(url)

    assert ask(FACTS) == facts
    assert "Sown" in str(facts)


def test_each_sql_file_has_its_undo_and_belongs_to_one_migration():
    disk = MigrationLoader(None).disk_migrations.values()
    run = [one.name for of in disk for one in of.operations if isinstance(one, RunSQLFile)]
    files = [path.stem for path in FOLDER.glob("*.sql")]
    assert sorted(files) == sorted([*run, *(f"{name}_undo" for name in run)])
