"""Append-only tables: the database itself refuses to change the record."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from stageapp.models import (
    AssumptionChange,
    BackupCheck,
    Batch,
    ConsumerAudit,
    ConsumerPin,
    GuardChange,
    ModeChange,
    NormalizationLog,
    Plan,
    PlanEntry,
    QuarantinedRow,
    RoleGrant,
    RollbackPlan,
    Run,
    RunMove,
    RunThrottle,
    Seal,
    TargetWrite,
    Verification,
    VocabularyVersion,
    WarnPeriod,
    WebhookDelivery,
    WorkerDrain,
)

pytestmark = pytest.mark.django_db


def a_run():
    plan = Plan.objects.create(
        target="app.Model.field",
        vocabulary_version=1,
        hash="0" * 64,
        rows_total=1,
        rows_to_change=1,
        rows_unknown=0,
        actor="test",
    )
    return Run.objects.create(plan=plan, target=plan.target, actor="test")


def a_batch():
    return Batch.objects.create(
        run=a_run(), direction="forward", number=1, last_key="1", scanned=1, changed=1, seconds=0
    )


# What makes one row of each append-only model.
ROWS = {
    ModeChange: lambda: ModeChange.objects.create(
        version=1, mode="warn", actor="test", reason="a test"
    ),
    VocabularyVersion: lambda: VocabularyVersion.objects.create(actor="test", reason="a test"),
    Plan: lambda: a_run().plan,
    PlanEntry: lambda: PlanEntry.objects.create(
        plan=a_run().plan, raw="Seed", stage="seed", rows=1
    ),
    RunMove: lambda: RunMove.objects.create(
        run=a_run(), new_state="planned", actor="test", reason="a test"
    ),
    RunThrottle: lambda: RunThrottle.objects.create(
        run=a_run(), factor="replica_lag", limit=5, actor="test", reason="a test"
    ),
    Batch: a_batch,
    RoleGrant: lambda: RoleGrant.objects.create(role="Stage testers", codename="test"),
    WarnPeriod: lambda: WarnPeriod.objects.create(actor="test", reason="a test"),
    ConsumerAudit: lambda: ConsumerAudit.objects.create(actor="test", reason="a test"),
    ConsumerPin: lambda: ConsumerPin.objects.create(
        consumer="alpha", place="in", actor="test", reason="a test"
    ),
    BackupCheck: lambda: BackupCheck.objects.create(
        name="a backup", kind="verify", passed=True, seconds=0, actor="test", reason="a test"
    ),
    NormalizationLog: lambda: NormalizationLog.objects.create(
        batch=a_batch(), keys=[1], old="Seed", new="seed"
    ),
    RollbackPlan: lambda: RollbackPlan.objects.create(
        run=a_run(), round=1, from_state="done", rows=1, actor="test", reason="a test"
    ),
    WorkerDrain: lambda: WorkerDrain.objects.create(draining=True, actor="test", reason="a test"),
    QuarantinedRow: lambda: QuarantinedRow.objects.create(
        run=a_run(), direction="forward", row_key="1", error="no"
    ),
    Seal: lambda: Seal.objects.create(
        target="app.Model.field",
        action="begun",
        vocabulary_version=1,
        nulls=True,
        actor="test",
        reason="a test",
    ),
    GuardChange: lambda: GuardChange.objects.create(
        target="app.Model.field", on=True, vocabulary_version=1, actor="test", reason="a test"
    ),
    AssumptionChange: lambda: AssumptionChange.objects.create(
        stage="seed",
        version=7,
        failure_rate=0,
        distribution="lognormal",
        holding_years=1,
        average_check=1,
        follow_on_share=0,
        follow_on_multiple=0,
        actor="test",
        reason="a test",
    ),
    TargetWrite: lambda: TargetWrite.objects.create(
        target="app.Model.field", kind="import", rows=1, actor="test", reason="a test"
    ),
    Verification: lambda: Verification.objects.create(
        run=a_run(),
        by_run=True,
        actor="test",
        reason="a test",
        started_at=timezone.now(),
        ended_at=timezone.now(),
        vocabulary_version=1,
        last_batch=0,
        batches=0,
        writes=0,
        ok=True,
        found={},
    ),
    WebhookDelivery: lambda: WebhookDelivery.objects.create(
        authenticator="bearer", result="downgraded", key="a"
    ),
}
MODELS = pytest.mark.parametrize("model", ROWS, ids=lambda model: model.__name__)
TRIGGERS = """
SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE p.proname = 'stageapp_refuse_change' AND t.tgenabled = 'O' AND c.relnamespace = 'public'::regnamespace
"""


def execute(sql):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else cursor.rowcount


def test_exactly_these_tables_carry_the_trigger():
    here = {model._meta.db_table for model in ROWS}
    assert {name for (name,) in execute(TRIGGERS)} == here, (
        "Add to ROWS what makes a row of a new table."
    )


def test_every_model_that_calls_itself_append_only_is_here():
    named = {
        model
        for model in apps.get_app_config("stageapp").get_models()
        if "Append-only" in (model.__doc__ or "")
    }
    assert named <= ROWS.keys()


@MODELS
def test_a_row_cannot_be_updated(model):
    row = ROWS[model]()
    table = model._meta.db_table
    with pytest.raises(
        IntegrityError, match=f"UPDATE on {table} is refused: the table is append-only"
    ):
        execute(f"UPDATE {table} SET {model._meta.pk.column} = {row.pk}")


@MODELS
def test_a_row_cannot_be_deleted(model):
    row = ROWS[model]()
    with pytest.raises(IntegrityError, match=r"DELETE on .* is refused"):
        execute(f"DELETE FROM {model._meta.db_table} WHERE {model._meta.pk.column} = {row.pk}")
    assert model.objects.filter(pk=row.pk).exists()


@MODELS
def test_neither_can_django(model):
    row = ROWS[model]()
    with pytest.raises(IntegrityError), transaction.atomic():
        row.save()
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.filter(pk=row.pk)._raw_delete("default")


@MODELS
def test_a_session_that_prunes_may_delete_but_not_update(model):
    row = ROWS[model]()
    table, key = model._meta.db_table, model._meta.pk.column
    execute("SET LOCAL stageapp.prune = 'on'")
    with pytest.raises(IntegrityError, match="UPDATE on"):
        execute(f"UPDATE {table} SET {key} = {row.pk}")
    if model is Plan:  # its run points to it
        Run.objects.filter(plan=row).delete()
    assert execute(f"DELETE FROM {table} WHERE {key} = {row.pk}") == 1
    execute("SET LOCAL stageapp.prune = ''")


@pytest.mark.parametrize("value", ["off", "", "ON", "true", "1"])
def test_only_the_exact_word_opens_the_way(value):
    row = ROWS[ModeChange]()
    execute(f"SET LOCAL stageapp.prune = '{value}'")
    with pytest.raises(IntegrityError):
        execute(f"DELETE FROM stageapp_modechange WHERE id = {row.pk}")


def test_the_permission_to_prune_ends_with_the_transaction():
    with transaction.atomic():
        execute("SET LOCAL stageapp.prune = 'on'")
        transaction.set_rollback(True)
    row = ROWS[ModeChange]()
    with pytest.raises(IntegrityError):
        execute(f"DELETE FROM stageapp_modechange WHERE id = {row.pk}")
