"""What the look before a run finds in a real catalog, and what it lets through."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from stageapp.models import Fund, PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import preflight, quoted, runs
from stageapp.targets import values
from stageapp.targets.errors import PreflightRefused, TargetError
from stageapp.targets.findings import Severity
from tests.normalization.evidence import LABEL, ME, sql

pytestmark = pytest.mark.django_db
TABLE = "stageapp_portfoliocompany"


@pytest.fixture
def plan():
    fund = Fund.objects.create(name="first fund")
    for stage in ("Seed ", "Series A", "series-a", "seed", "nobody knows"):
        PortfolioCompany.objects.create(fund=fund, name="c", stage=stage)
    return plans.make_plan(LABEL, actor="tester")


def found(severity=None):
    return [one for one in preflight.look(LABEL).findings if severity in (None, one.severity)]


def texts(severity=None):
    return "\n".join(map(str, found(severity)))


def make(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def refused(plan):
    with pytest.raises(PreflightRefused) as refusal:
        runs.start(plan.run, **ME)
    plan.run.refresh_from_db()
    assert plan.run.state == State.PLANNED
    return str(refusal.value)


def test_the_tables_as_migrated_let_a_run_start(plan):
    assert found(Severity.BLOCKS) == []
    assert found(Severity.WARNS) == []
    assert "agrees with Python on the 5 distinct values" in texts(Severity.TELLS)
    assert runs.start(plan.run, **ME).state == State.RUNNING


def test_without_a_plan_it_looks_too():
    assert found(Severity.BLOCKS) == []


def test_a_function_that_is_gone_blocks(plan):
    make("DROP FUNCTION normalize_stage(text, text)")
    assert "normalize_stage() does not work: function normalize_stage" in texts(Severity.BLOCKS)
    assert "normalize_stage() does not work" in refused(plan)


def test_a_function_that_says_something_else_blocks(plan):
    make(
        "CREATE OR REPLACE FUNCTION normalize_stage(raw text, source text DEFAULT '') RETURNS "
        "text LANGUAGE sql STABLE AS $$ SELECT CASE WHEN raw = 'Series A' THEN 'series_b' ELSE "
        "(SELECT e.stage FROM explain_stage(raw, source) AS e) END $$"
    )
    assert "disagree about 1 values: 'Series A'" in texts(Severity.BLOCKS)
    assert "disagree" in refused(plan)


def test_a_table_that_cannot_be_read_in_time_is_judged_by_its_plan(plan, monkeypatch):
    def slow(*_, **__):
        raise values.TooSlow("large")

    monkeypatch.setattr(values, "distinct_values", slow)
    assert "on the 5 distinct values" in texts(Severity.TELLS)
    assert preflight._values_of(None, None) is None
    assert [one.severity for one in preflight._parity(None, None)] == [Severity.WARNS]


def test_a_target_that_is_not_configured_blocks(plan, settings):
    settings.STAGE_TARGETS = []
    assert "is not a target" in texts(Severity.BLOCKS)
    with pytest.raises(TargetError):
        runs.start(plan.run, **ME)


@pytest.mark.parametrize(
    "statements, said",
    [
        ([f"ALTER TABLE {TABLE} RENAME COLUMN stage TO phase"], "There is no column"),
        (
            [f"ALTER TABLE {TABLE} ALTER stage TYPE varchar(7) USING left(stage, 7)"],
            "The column is limited to 7 characters",
        ),
        (
            [f"ALTER TABLE {TABLE} ALTER stage TYPE bytea USING stage::bytea"],
            "The column is of type bytea",
        ),
        (
            [f"ALTER TABLE {TABLE} ADD CONSTRAINT known CHECK (stage <> 'series_a')"],
            "CHECK known refuses series_a: the batch that writes it would fail",
        ),
        (
            [
                "CREATE TABLE known_stages (name text PRIMARY KEY)",
                "INSERT INTO known_stages VALUES ('Seed '), ('Series A'), ('series-a'), "
                "('seed'), ('nobody knows')",
                f"ALTER TABLE {TABLE} ADD CONSTRAINT lookup FOREIGN KEY (stage) REFERENCES "
                "known_stages",
            ],
            "The foreign key lookup refuses series_a",
        ),
        (
            [
                f"ALTER TABLE {TABLE} ADD CONSTRAINT once UNIQUE (stage)",
                f"CREATE TABLE follower (stage text REFERENCES {TABLE} (stage))",
            ],
            "follower references the column",
        ),
        (
            [f"CREATE RULE elsewhere AS ON UPDATE TO {TABLE} DO INSTEAD NOTHING"],
            "The rule elsewhere rewrites updates",
        ),
        (
            [
                f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {TABLE} FORCE ROW LEVEL SECURITY",
            ],
            "Row-level security hides rows",
        ),
        (
            [f"ALTER TABLE {TABLE} DROP CONSTRAINT {TABLE}_pkey CASCADE"],
            "No unique index covers the primary key",
        ),
    ],
)
def test_what_would_make_the_run_fail_blocks_it(plan, statements, said):
    make("SET CONSTRAINTS ALL IMMEDIATE", *statements)
    assert said in texts(Severity.BLOCKS)
    assert said in refused(plan)


@pytest.mark.parametrize(
    "statements, said",
    [
        (
            [f"CREATE UNIQUE INDEX once ON {TABLE} (fund_id, stage)"],
            "The unique index once covers the column",
        ),
        (
            [
                "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN "
                "NEW; END'",
                f"CREATE TRIGGER touch BEFORE UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION "
                "touched()",
            ],
            "The trigger touch fires: touched() is called for each changed row, and may change it",
        ),
        (
            [f"ALTER TABLE {TABLE} ADD CONSTRAINT both_known CHECK (stage <> '' OR name <> '')"],
            "CHECK both_known covers the column together with others",
        ),
        (
            [
                f"ALTER TABLE {TABLE} ADD CONSTRAINT once UNIQUE (stage)",
                f"CREATE TABLE follower (stage text REFERENCES {TABLE} (stage) ON UPDATE CASCADE)",
            ],
            "each changed row also changes rows there,",
        ),
    ],
)
def test_what_a_person_should_know_warns(plan, statements, said):
    make("SET CONSTRAINTS ALL IMMEDIATE", *statements)
    assert said in texts(Severity.WARNS)
    assert found(Severity.BLOCKS) == []


@pytest.mark.parametrize(
    "statements, said",
    [
        ([f"CREATE INDEX by_stage ON {TABLE} (stage)"], "The index by_stage covers the column"),
        (
            [
                "CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN "
                "NULL; END'",
                f"CREATE TRIGGER count AFTER UPDATE ON {TABLE} FOR EACH STATEMENT EXECUTE "
                "FUNCTION counted()",
            ],
            "counted() is called once in each batch",
        ),
        (
            [f"ALTER TABLE {TABLE} ADD CONSTRAINT newer CHECK (stage <> 'series b')"],
            "CHECK newer covers the column: it allows every value",
        ),
    ],
)
def test_what_is_harmless_is_told(plan, statements, said):
    make("SET CONSTRAINTS ALL IMMEDIATE", *statements)
    assert said in texts(Severity.TELLS)
    assert found(Severity.BLOCKS) == []


OTHERS = (
    f"CREATE VIEW others AS SELECT id FROM {TABLE} WHERE stage = 'Series A'",
    "CREATE VIEW others_of_others AS SELECT id FROM others WHERE 'series-a' <> id::text",
)
FUNCTION = "CREATE FUNCTION early() RETURNS bigint LANGUAGE {} AS {}"


@pytest.mark.parametrize(
    "statements, said",
    [
        (OTHERS[:1], "The view others quotes 'Series A': it would silently find fewer rows"),
        (OTHERS, "The view others_of_others quotes 'series-a'"),
        (
            [
                f"CREATE MATERIALIZED VIEW kept AS SELECT id FROM {TABLE} WHERE stage IN ('Seed "
                "', 'x')"
            ],
            "The materialized view kept quotes 'Seed '",
        ),
        (
            [f"CREATE INDEX part ON {TABLE} (id) WHERE stage = 'Series A'"],
            "The partial index part quotes 'Series A'",
        ),
        (
            [f"CREATE INDEX expr ON {TABLE} ((stage = 'Series A'))"],
            "The index expr quotes 'Series A'",
        ),
        (
            [f"ALTER TABLE {TABLE} ADD CONSTRAINT odd CHECK (stage <> 'SEED' OR name <> '')"],
            "The constraint odd quotes 'SEED'",
        ),
        (
            [f"CREATE POLICY early ON {TABLE} USING (stage = 'Pre Seed')"],
            "The policy early quotes 'Pre Seed': it would show or hide other rows",
        ),
        (
            [f"ALTER TABLE {TABLE} ALTER stage SET DEFAULT 'Seed'"],
            "The default stage quotes 'Seed'",
        ),
        (
            [
                f"ALTER TABLE {TABLE} ADD early bool GENERATED ALWAYS AS (stage IN ('Seed', "
                "'Series A')) STORED"
            ],
            "The generated column early quotes 'Seed', 'Series A'",
        ),
        (
            [
                FUNCTION.format(
                    "plpgsql",
                    f"$$BEGIN RETURN count(*) FROM {TABLE} WHERE stage = 'Series A'; END$$",
                )
            ],
            "The function early() quotes 'Series A'",
        ),
        (
            [
                f"CREATE FUNCTION early() RETURNS bigint RETURN (SELECT count(*) FROM {TABLE} "
                "WHERE stage = 'Series A')"
            ],
            "The function early() quotes 'Series A'",
        ),
        (
            [
                "CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN "
                "NEW; END'",
                f"CREATE TRIGGER touch AFTER INSERT ON {TABLE} FOR EACH ROW WHEN (NEW.stage = "
                "'Series A') EXECUTE FUNCTION touched()",
            ],
            "The trigger touch quotes 'Series A'",
        ),
        (
            [
                f"CREATE RULE also AS ON DELETE TO {TABLE} WHERE OLD.stage = 'Series A' DO ALSO "
                "SELECT 1"
            ],
            "The rule also quotes 'Series A'",
        ),
        (
            [f"CREATE PUBLICATION half FOR TABLE {TABLE} WHERE (stage = 'Series A')"],
            "The publication half quotes 'Series A'",
        ),
    ],
)
def test_what_quotes_an_old_spelling_is_named(plan, statements, said):
    make("SET CONSTRAINTS ALL IMMEDIATE", *statements)
    assert said in texts(Severity.WARNS)


@pytest.mark.parametrize(
    "statement",
    [
        f"CREATE VIEW fine AS SELECT id FROM {TABLE} WHERE stage = 'series_a'",
        f"CREATE VIEW fine AS SELECT id FROM {TABLE} WHERE stage = 'nobody knows'",
        "CREATE VIEW fine AS SELECT id FROM stageapp_fund WHERE name = 'Series A'",
        FUNCTION.format(
            "plpgsql", "$$BEGIN RETURN count(*) FROM stageapp_fund WHERE name = 'Series A'; END$$"
        ),
    ],
)
def test_what_stays_true_after_a_run_is_not(plan, statement):
    make(statement)
    assert found(Severity.WARNS) == []


def test_literals_are_read_as_sql_writes_them():
    assert quoted.literals("a = 'it''s' AND b = E'x' AND c = ANY('{Seed,\"Series A\"}')") == {
        "it's",
        "x",
        "Seed",
        "Series A",
        '{Seed,"Series A"}',
    }
    assert quoted.literals("no_literal AND ''") == set()


def test_the_command_prints_it_and_exits_1_where_a_run_would_not_start(plan, capsys):
    call_command("normalization", "preflight", "--target", LABEL)
    assert "tells   normalize_stage() exists" in capsys.readouterr().out
    make("DROP FUNCTION normalize_stage(text, text)")
    with pytest.raises(CommandError, match="would not start"):
        call_command("normalization", "preflight", "--json")
    assert '"worst": "blocks"' in capsys.readouterr().out


def test_looking_changes_nothing(plan):
    before = sql(f"SELECT xmin::text, * FROM {TABLE} ORDER BY id")
    preflight.look(LABEL)
    assert sql(f"SELECT xmin::text, * FROM {TABLE} ORDER BY id") == before
