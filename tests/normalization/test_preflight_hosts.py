"""What the look before a run says of a host's models and columns, and that PostgreSQL means it."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, models
from django.db.models.signals import post_save, pre_save

from stageapp import checks
from stageapp.doctor import questions
from stageapp.doctor.answers import Health
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import preflight, runs, worker
from stageapp.sealing import guard, seal
from stageapp.targets import columns, targets
from stageapp.targets.errors import PreflightRefused, TargetError
from stageapp.targets.findings import Severity
from tests.normalization.evidence import ME, column, sql
from tests.normalization.hosts import begin, finish, roll_back, tables

LABEL, TABLE = "stageapp.HostDeal.stage", "stageapp_hostdeal"
SPELLINGS = ["Seed ", "series-a", "seed", "nobody knows"]


@pytest.fixture
def deal(engine, settings):
    """Make a host's model with a few rows, and name it as the only target."""

    class HostDeal(models.Model):
        stage = models.TextField(null=True)  # noqa: DJ001  a host's column may be NULL
        changed_at = models.DateTimeField(auto_now=True)
        changed_on = models.DateField(auto_now=True)

        class Meta:
            app_label = "stageapp"

    settings.STAGE_TARGETS = [LABEL]
    with tables(HostDeal):
        HostDeal.objects.bulk_create(HostDeal(stage=stage) for stage in SPELLINGS)
        yield HostDeal


def texts(severity=None, label=LABEL):
    return "\n".join(
        str(one) for one in preflight.look(label).findings if severity in (None, one.severity)
    )


def held():
    return [stage for (stage,) in sql(f"SELECT stage FROM {TABLE} ORDER BY id")]


class Elsewhere:
    """Send a model of a host to another database."""

    write, read = "crm", "crm"

    def db_for_write(self, model, **hints):
        return self.write if model.__name__ == "HostDeal" else None

    def db_for_read(self, model, **hints):
        return self.read if model.__name__ == "HostDeal" else None


@pytest.fixture
def routed(deal, settings, monkeypatch):
    """Return a function that lets a router send the model's writes and reads elsewhere."""

    def send(write, read):
        monkeypatch.setattr(Elsewhere, "write", write)
        monkeypatch.setattr(Elsewhere, "read", read)
        settings.DATABASE_ROUTERS = [f"{__name__}.Elsewhere"]

    return send


@pytest.mark.parametrize("write, read", [("crm", "crm"), ("crm", None), (None, "crm")])
def test_a_target_in_another_database_is_refused_by_check_plan_preflight_and_doctor(
    deal, routed, write, read
):
    plan = plans.make_plan(LABEL, actor="tester")
    before = held()
    routed(write, read)
    said = "is in the database crm: DATABASE_ROUTERS sends stageapp.HostDeal there"
    with pytest.raises(TargetError, match=said):
        plans.make_plan(LABEL, actor="tester")
    with pytest.raises(TargetError, match=said):
        runs.start(plan.run, **ME)
    assert said in texts(Severity.BLOCKS)
    (wrong,) = checks.check_targets()
    assert (wrong.id, said in wrong.msg) == ("stageapp.E003", True)
    (answer,) = questions.targets()
    assert (answer.health, said in answer.said) == (Health.FAIL, True)
    assert held() == before


def test_a_replica_that_only_reads_is_not_another_database(deal, routed, settings, monkeypatch):
    monkeypatch.setitem(settings.DATABASES, "copy", {"TEST": {"MIRROR": "default"}})
    routed(None, "copy")
    assert targets.resolve(LABEL).table == f'"{TABLE}"'


def test_padded_text_is_refused_by_name_everywhere(deal):
    plan = plans.make_plan(LABEL, actor="tester")
    waiting = begin(LABEL)
    sql(f"ALTER TABLE {TABLE} ALTER stage TYPE char(20)")
    before, said = held(), r"The column is of type character\(n\): PostgreSQL pads its values"
    for refused in (
        lambda: plans.make_plan(LABEL, actor="tester"),
        lambda: worker.dry_run(plan.run),
        lambda: worker.advance(waiting),
        lambda: seal.seal(LABEL, **ME),
        lambda: guard.switch_on(LABEL, **ME),
    ):
        with pytest.raises(TargetError, match=said):
            refused()
    with pytest.raises(PreflightRefused, match=said):
        runs.start(plan.run, **ME)
    assert "The column is of type character(n)" in texts(Severity.BLOCKS)
    assert held() == before


@pytest.mark.parametrize(
    "kind",
    ["DOMAIN padded AS char(20)", "DOMAIN padded AS integer", "TYPE padded AS ENUM ('Seed ')"],
)
def test_a_type_that_is_no_text_underneath_is_refused_by_plan_and_preflight(deal, kind):
    sql(f"CREATE {kind}; ALTER TABLE {TABLE} ALTER stage TYPE padded USING NULL")
    try:
        with pytest.raises(TargetError, match=r"The column is of type (character|integer|padded)"):
            plans.make_plan(LABEL, actor="tester")
        assert "The column is of type" in texts(Severity.BLOCKS)
    finally:
        sql("DROP TYPE padded CASCADE")


def test_a_collation_in_which_spellings_are_equal_is_refused_by_name(deal):
    """The servers of these tests are built without ICU, and have no such collation: so the
    catalog's answer is made.
    """
    target = targets.resolve(LABEL)
    column, found = columns.find(target)
    facts = list(found)
    assert list(columns._shape(target, column, tuple(facts))) == []
    facts[4] = False
    assert "The column's collation is not deterministic" in str(
        list(columns._shape(target, column, tuple(facts)))
    )


@pytest.mark.parametrize("kind", ["varchar(60)", "varchar", "text", 'text COLLATE "C"', "worded"])
def test_every_kind_of_unpadded_text_works_from_plan_to_seal(deal, kind):
    sql("CREATE DOMAIN worded AS varchar(60)")
    try:
        sql(f"ALTER TABLE {TABLE} ALTER stage TYPE {kind}")
        before = held()
        run = finish(LABEL)
        assert (run.plan.rows_to_change, held()) == (
            2,
            ["seed", "series_a", "seed", "nobody knows"],
        )
        assert roll_back(run).state == State.ROLLED_BACK
        assert held() == before
        finish(LABEL)
        guard.switch_on(LABEL, **ME)
        sql(f"UPDATE {TABLE} SET stage = 'SEED' WHERE stage = 'nobody knows'")
        assert held() == ["seed", "series_a", "seed", "seed"]
        assert seal.seal(LABEL, **ME).state == "sealed"
    finally:
        sql(f"ALTER TABLE {TABLE} DROP stage CASCADE; DROP DOMAIN worded")


def test_null_means_nothing_stays_null_and_stops_nobody_from_looking(deal, capsys):
    sql(
        f"INSERT INTO {TABLE} (stage, changed_at, changed_on) VALUES (NULL, now(), now()), ('', "
        "now(), now())"
    )
    assert preflight.look(LABEL).worst == Severity.TELLS
    assert "Rows with NULL: 1: NULL is not a value (blank)" in texts(Severity.TELLS)
    (answer,) = questions.targets()
    assert answer.health == Health.OK
    call_command("normalization", "preflight", "--target", LABEL)
    plan = plans.make_plan(LABEL, actor="tester")
    assert (plan.rows_total, plan.rows_to_change, plan.rows_unknown) == (6, 2, 2)
    assert worker.dry_run(plan.run)["scanned"] == 6
    run = finish(LABEL)
    assert held() == ["seed", "series_a", "seed", "nobody knows", None, ""]
    assert roll_back(run).state == State.ROLLED_BACK
    assert held() == [*SPELLINGS, None, ""]
    assert "Rows with NULL: 1" in texts()


def test_a_where_that_cannot_be_evaluated_stops_neither_preflight_nor_doctor(deal, settings):
    settings.STAGE_TARGETS = [f"{LABEL}?where=no_such_column"]
    assert "no_such_column" in texts(Severity.BLOCKS)
    (answer,) = questions.targets()
    assert answer.health == Health.FAIL


def test_a_unique_constraint_is_named_and_the_row_that_collides_stands_apart(deal):
    sql(f"ALTER TABLE {TABLE} ADD CONSTRAINT once UNIQUE (stage)")
    assert "The unique constraint once covers the column" in texts(Severity.WARNS)
    run = finish(LABEL)
    assert held() == ["Seed ", "series_a", "seed", "nobody knows"]
    assert ("once" in run.quarantine.get().error, run.quarantine.get().value) == (True, "Seed ")


@pytest.mark.parametrize(
    "index, said",
    [
        ("UNIQUE INDEX held ON {} (lower(stage))", "The unique index held covers the column"),
        (
            "UNIQUE INDEX held ON {} (id) WHERE stage <> ''",
            "The unique index held covers the column",
        ),
        ("UNIQUE INDEX held ON {} (id) INCLUDE (stage)", "The index held covers the column"),
        ("INDEX held ON {} (id, stage)", "The index held covers the column"),
        ("INDEX held ON {} (id) WHERE stage <> ''", "The partial index held covers the column"),
    ],
)
def test_every_index_that_holds_the_column_is_named_and_no_other(deal, index, said):
    sql(f"CREATE {index.format(TABLE)}; CREATE INDEX other ON {TABLE} (changed_on) WHERE id > 0")
    assert said in texts()
    assert "other" not in texts()


@pytest.mark.parametrize("outer", [False, True], ids=["its own", "of what it is made of"])
def test_the_check_of_a_domain_blocks_what_postgresql_would_refuse(deal, outer):
    sql("CREATE DOMAIN early AS text CONSTRAINT no_a CHECK (VALUE <> 'series_a')")
    name = "earlier" if outer else "early"
    if outer:
        sql("CREATE DOMAIN earlier AS early CONSTRAINT no_b CHECK (VALUE <> 'series_b')")
    waiting = begin(LABEL)
    try:
        sql(f"ALTER TABLE {TABLE} ALTER stage TYPE {name}")
        if not outer:
            assert "CHECK no_a of the domain early refuses series_a" in texts(Severity.BLOCKS)
            with pytest.raises(PreflightRefused, match="no_a"):
                runs.start(plans.make_plan(LABEL, actor="tester").run, **ME)
            worker.advance(waiting)
            assert ("no_a" in waiting.quarantine.get().error, held()[1]) == (True, "series-a")
        else:
            assert "refuses series_a" in texts(Severity.BLOCKS)
        with pytest.raises(DatabaseError, match="no_a"):
            sql(f"UPDATE {TABLE} SET stage = 'series_a' WHERE stage = 'series-a'")
    finally:
        sql(f"ALTER TABLE {TABLE} DROP stage CASCADE; DROP DOMAIN early CASCADE")


PUBLISHED = [
    (
        f"ALTER TABLE {TABLE} REPLICA IDENTITY NOTHING; CREATE PUBLICATION feed FOR TABLE {TABLE}",
        "replica identity",
    ),
    (
        f"CREATE PUBLICATION feed FOR TABLE {TABLE} WHERE (stage <> '')",
        "publication WHERE expression",
    ),
    (
        f"CREATE PUBLICATION feed FOR TABLE {TABLE} (stage)",
        "publication column list|column list used by the publication",
    ),
]


@pytest.mark.parametrize(
    "statements, said", PUBLISHED, ids=["no identity", "row filter", "column list"]
)
def test_a_published_table_that_takes_no_update_blocks(deal, statements, said):
    plan, waiting = plans.make_plan(LABEL, actor="tester"), begin(LABEL)
    sql(statements)
    try:
        assert "PostgreSQL refuses every update of the column: cannot update table" in texts(
            Severity.BLOCKS
        )
        with pytest.raises(PreflightRefused, match="refuses every update"):
            runs.start(plan.run, **ME)
        with pytest.raises(DatabaseError, match="cannot update table"):
            sql(f"UPDATE {TABLE} SET stage = 'seed'")
        with pytest.raises(DatabaseError, match="cannot update table"):
            worker.advance(waiting)
        assert (waiting.state, waiting.quarantine.count(), held()) == (State.FAILED, 0, SPELLINGS)
    finally:
        sql("DROP PUBLICATION feed")


def test_a_published_table_with_an_identity_is_told(deal):
    sql(f"CREATE PUBLICATION feed FOR TABLE {TABLE}")
    try:
        assert "The publication feed sends updates" in texts(Severity.TELLS)
        assert texts(Severity.BLOCKS) == ""
    finally:
        sql("DROP PUBLICATION feed")


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_a_generated_column_that_reads_the_column_is_named(deal, kind):
    if kind == "VIRTUAL" and connection.pg_version < 180000:
        pytest.skip("PostgreSQL 18 has virtual columns")
    sql(f"ALTER TABLE {TABLE} ADD early bool GENERATED ALWAYS AS (length(stage) > 4) {kind}")
    sql(f"ALTER TABLE {TABLE} ADD twice bigint GENERATED ALWAYS AS (id * 2) {kind}")
    assert "The generated column early reads the column" in texts(Severity.WARNS)
    assert "twice" not in texts()
    finish(LABEL)
    assert sql(f"SELECT early FROM {TABLE} WHERE stage = 'seed'") == [(False,), (False,)]


def test_a_table_that_somebody_holds_is_not_said_to_refuse_updates(deal, elsewhere):
    reader = connection.copy()
    try:
        with reader.cursor() as cursor:
            reader.set_autocommit(False)
            cursor.execute(f"LOCK TABLE {TABLE} IN SHARE MODE")
            assert texts(Severity.BLOCKS) == ""
    finally:
        reader.rollback()
        reader.close()


def test_times_that_a_save_sets_are_told_with_touch_as_the_remedy(deal, settings):
    assert (
        "Saving a row sets changed_at (auto_now): a run does not change it; with touch=changed_at"
        in texts(Severity.TELLS)
    )
    assert (
        "Saving a row sets changed_on (auto_now): a run does not change it; touch can only set a date-time"
        in texts()
    )
    before = sql(f"SELECT changed_at FROM {TABLE} ORDER BY id")
    roll_back(finish(LABEL))
    assert sql(f"SELECT changed_at FROM {TABLE} ORDER BY id") == before
    settings.STAGE_TARGETS = [f"{LABEL}?touch=changed_at"]
    assert "changed_at" not in texts()
    finish(LABEL)
    after = sql(f"SELECT changed_at FROM {TABLE} ORDER BY id")
    assert [old != new for old, new in zip(before, after, strict=True)] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("signal, name", [(pre_save, "pre_save"), (post_save, "post_save")])
def test_receivers_of_a_save_are_told_and_a_run_calls_none(deal, settings, signal, name):
    called = []

    def receive(**_):
        called.append(name)

    assert "receivers" not in texts()
    signal.connect(receive, sender=deal)
    try:
        assert f"{name} of stageapp.HostDeal has receivers: a run sends no signals" in texts(
            Severity.WARNS
        )
        assert "with touch=FIELD in STAGE_TARGETS" in texts(Severity.WARNS)
        finish(LABEL)
        assert called == []
        settings.STAGE_TARGETS = [f"{LABEL}?touch=changed_at"]
        assert "touch=FIELD" not in texts()
    finally:
        signal.disconnect(receive, sender=deal)


def test_a_save_of_the_models_own_is_told(engine, settings):
    class Indexed(models.Model):
        class Meta:
            app_label = "stageapp"
            abstract = True

        def save(self, *args, **kwargs):
            raise AssertionError("a run calls no save()")

    class SavingDeal(Indexed):
        stage = models.TextField()

        class Meta:
            app_label = "stageapp"

    label = "stageapp.SavingDeal.stage"
    settings.STAGE_TARGETS = [label]
    with tables(SavingDeal):
        SavingDeal.objects.bulk_create([SavingDeal(stage="Seed ")])
        assert "Indexed has its own save(): a run does not call it" in texts(Severity.WARNS, label)
        finish(label)
        assert sql("SELECT stage FROM stageapp_savingdeal") == [("seed",)]


def test_our_own_companies_have_none_of_these(engine):
    assert preflight.look("stageapp.PortfolioCompany.stage").worst == Severity.TELLS
    assert column() == {}
