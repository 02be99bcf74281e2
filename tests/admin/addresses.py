"""Every address of the admin, with a real row in the place of each parameter."""

import re

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.urls import URLPattern, reverse
from django.utils import timezone

from stageapp.admin.run_actions import ACTIONS
from stageapp.consumers import sightings, tokens
from stageapp.mode import store
from stageapp.models import (
    Backup,
    BackupCheck,
    BackupJob,
    Batch,
    Checkpoint,
    DriftCheck,
    GuardConversion,
    ModeProposal,
    NormalizationLog,
    QuarantinedRow,
    Seal,
    Stage,
    Strategy,
    TargetWrite,
    TrafficWindow,
    WebhookDelivery,
)
from stageapp.normalization import drain, limits
from stageapp.unknowns import records
from stageapp.unknowns.examples import example
from stageapp.validation import decide
from stageapp.vocabulary import snapshot

HOSTILE = "<b>Fondo</b> <script>alert(5)</script>"


def one_of_each(plan):
    """Make a row for every screen that has none yet."""
    run = plan.run
    batch = Batch.objects.create(
        run=run, direction="forward", number=1, last_key="7", scanned=7, changed=1, seconds=0.01
    )
    NormalizationLog.objects.create(batch=batch, keys=[7], old="<b>Seed</b>", new="seed")
    QuarantinedRow.objects.create(
        run=run, direction="forward", row_key="7", value="<b>Seed</b>", error="<i>no</i>"
    )
    Checkpoint.objects.create(
        run=run, direction="forward", position="7", scanned=7, changed=1, batches=1
    )
    limits.change(run, {"replica_lag": 5}, actor="<b>user</b>", reason="<script>alert(6)</script>")
    drain.switch(draining=True, actor="<b>user</b>", reason="<script>alert(6)</script>")
    store.change(mode="warn", actor="ann", reason="<script>alert(2)</script>")
    ModeProposal.objects.create(actor="ann", reason="<b>now</b>", percent=10, epoch=1, version=1)
    TrafficWindow.objects.create(
        process="6d1e2c1e-6d4e-4b4e-9f0a-1d2c3b4a5f60",
        started_at=timezone.now(),
        endpoint="e",
        mode="warn",
        verdict="canonical",
        requests=3,
    )
    consumer, _ = tokens.create("<i>partner</i>", ["read"])
    Strategy.objects.create(
        name="<b>bold</b>",
        consumer=consumer,
        raw_allocation=[],
        allocation={},
        vocabulary_version=1,
    )
    with snapshot.change(actor="ann", reason="<script>alert(3)</script>"):
        Stage.objects.filter(slug="seed").update(label="<u>Seed</u>")
    records.record_import("<b>file</b>", {HOSTILE: 3}, source="<i>partner</i>")
    sent = decide(
        [("/0", HOSTILE)], mode="warn", vocabulary=snapshot.load(), source="<i>partner</i>"
    )
    sightings.note(consumer="<i>partner</i>", endpoint="e", decision=sent)
    sightings.flush()
    DriftCheck.objects.create(
        target="stageapp.PortfolioCompany.stage",
        run=run.pk,
        checked_at=timezone.now(),
        looked_at=timezone.now(),
        writes=1,
        unknown_rows=2,
        problem="<script>alert(4)</script>",
        spellings=[{"value": example(HOSTILE), "stage": None, "reason": "unmapped", "rows": 2}],
    )
    TargetWrite.objects.create(
        target="<b>bold</b>",
        kind="import",
        rows=2,
        actor="<b>user</b>",
        reason="<script>alert(6)</script>",
    )
    backups_of_all_kinds()
    Seal.objects.create(
        target="<b>bold</b>",
        action="unsealed",
        vocabulary_version=1,
        nulls=True,
        actor="ann",
        reason="<script>alert(6)</script>",
    )
    GuardConversion.objects.create(
        target="stageapp.PortfolioCompany.stage",
        at=timezone.now(),
        raw=HOSTILE,
        stage="seed",
        writer="<i>partner</i>",
        problem="",
    )
    WebhookDelivery.objects.create(
        authenticator="none",
        result="refused",
        webhook_id="<b>bold</b>",
        alerts=["<script>alert(6)</script>"],
        remote="<i>partner</i>",
        detail="<u>Seed</u>",
    )
    Group.objects.create(name="<b>group</b>")
    User.objects.create_user("<b>user</b>")


def backups_of_all_kinds():
    """Make a backup, a verdict on it and a failed job, all with what people and programs may
    have written.
    """
    said = "<script>alert(6)</script>"
    backup = Backup.objects.create(
        name="stage-1",
        taken_at=timezone.now(),
        ended_at=timezone.now(),
        bytes=7,
        actor="<b>user</b>",
        reason=said,
    )
    finding = {"check": "size", "passed": False, "said": said}
    BackupCheck.objects.create(
        backup=backup,
        name="stage-1",
        kind="rehearse",
        passed=False,
        seconds=1,
        findings=[finding],
        actor="ann",
        reason=said,
    )
    BackupJob.objects.create(
        verb="create", state="failed", said=said, actor="ann", reason=said, ended_at=timezone.now()
    )


def addresses():
    """Return {path: name} of every address the site answers, so that a new screen is covered by
    itself.
    """
    site = admin.site
    found = {}
    for pattern in site.get_urls():
        if isinstance(pattern, URLPattern) and not pattern.pattern.regex.groups and pattern.name:
            found[reverse(f"admin:{pattern.name}")] = pattern.name
    for model, screen in site._registry.items():
        row = model._default_manager.order_by("-pk").first()
        assert row is not None, f"one_of_each() makes no {model.__name__}"
        prefix = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for pattern in screen.get_urls():
            for path in _filled(str(pattern.pattern), row.pk):
                found[prefix + path] = pattern.name or "old_style_link"
    return found


def _filled(route, pk):
    if "<slug:name>" in route:
        return [_with_key(route.replace("<slug:name>", name), pk) for name in ACTIONS]
    return [_with_key(route, pk)]


def _with_key(route, pk):
    return re.sub(r"<[^>]+>", str(pk), route)
