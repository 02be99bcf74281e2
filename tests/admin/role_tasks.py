"""What a role may do: each task of the table in docs/admin.md, as it is done through HTTP."""

import datetime
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from stageapp.admin import backup_actions, rollout_actions
from stageapp.consumers import tokens
from stageapp.mode import store
from stageapp.models import (
    Backup,
    BackupJob,
    Consumer,
    GuardChange,
    ModeProposal,
    Plan,
    RunThrottle,
    Seal,
    Stage,
    StageAlias,
    VocabularyVersion,
    WebhookDelivery,
    WorkerDrain,
)
from stageapp.models.rollout import ConsumerAudit, ConsumerPin, PlannedStep, WarnPeriod
from stageapp.models.traffic import TrafficHour
from stageapp.normalization import runs, worker
from stageapp.people import EVERYTHING, Person
from stageapp.rollout import proposals, schedule, timeline
from stageapp.rollout.changes import Wish, downgrade
from stageapp.sealing import seal
from stageapp.unknowns import drift
from stageapp.vocabulary import snapshot
from tests.admin.conftest import TARGET
from tests.api.senders import SECRET
from tests.unknowns.conftest import find

ANN = Person("ann", EVERYTHING)
DAY = datetime.timedelta(days=1)
LATER = timezone.now().date() + 30 * DAY
WHY = {"reason": "for a test"}


@dataclass
class Attempt:
    """What somebody does, and whether it has had its effect."""

    url: str
    worked: Callable[[], bool]
    form: dict[str, Any] | None = None  # None: it is only looked at


@dataclass
class World:
    """Where a task is done: the browser of who does it, and the fixtures of the test."""

    browser: Client
    request: Any

    def fixture(self, name):
        return self.request.getfixturevalue(name)

    def two_persons(self):
        self.fixture("settings").STAGE_TWO_PERSON_RULE = True

    def gates_pass(self):
        """Be in warn since nine days, with seven good days, a run that is done, a look at drift,
        and an audit.
        """
        with pytest.MonkeyPatch.context() as patch:
            then = timezone.now() - 9 * DAY
            patch.setattr(timezone, "now", lambda: then)
            put("warn")
        noon = timezone.now().replace(hour=12, minute=0, second=0, microsecond=0)
        for days in range(1, 8):
            TrafficHour.objects.create(
                started_at=noon - days * DAY,
                endpoint="e",
                mode="warn",
                verdict="canonical",
                requests=300,
            )
        self.done()
        drift.watch()  # as beat does each minute
        timeline.record_audit(ANN, "nobody sends anything strange")

    def started(self):
        return runs.start(self.fixture("plan").run, actor="ann", reason="for a test")

    def done(self):
        self.fixture("settings").STAGE_BATCH_PAUSE_SECONDS = 0.0
        run = worker.advance(self.started())
        assert run.state == "done"
        return run


def put(mode, percent=100, **more):
    return store.change(mode=mode, percent=percent, actor="ann", reason="for a test", **more)


def latched():
    put("enforce", 10)
    downgrade(actor="guard", reason="too many refusals")


def proposed(**more):
    return proposals.propose(ANN, Wish("enforce", "for a test", 10, **more))


def is_in(mode):
    return lambda: store.latest().mode == mode


def setting(mode, worked, **more):
    form = {"mode": mode, "expected_version": store.latest().version, **WHY, **more}
    return Attempt(reverse("admin:stageapp_modechange_set"), worked, form)


def see(world):
    world.seen = world.browser.get(reverse("admin:stageapp_rollout"))
    return Attempt(reverse("admin:stageapp_rollout"), lambda: world.seen.status_code == 200)


def lower(world):
    put("enforce", 10)
    return setting("warn", is_in("warn"))


def raise_it(world):
    world.gates_pass()
    return setting("enforce", is_in("enforce"), percent=10)


def raise_past_a_gate(world):
    put("warn")
    return setting("enforce", is_in("enforce"), percent=10, override="agreed with all")


def raise_after_a_downgrade(world):
    latched()
    put("off")
    return setting("warn", is_in("warn"))


def withdraw_the_day(world):
    put("warn", enforce_on=LATER)
    return setting("warn", lambda: store.latest().enforce_on is None, withdraw_enforce_on="on")


def propose(world):
    world.two_persons()
    put("warn")
    return setting("enforce", lambda: ModeProposal.objects.filter(percent=10).exists(), percent=10)


def approving(proposal):
    url = reverse("admin:stageapp_modeproposal_approve", args=[proposal.pk])
    return Attempt(url, is_in("enforce"), WHY)


def approve(world):
    world.gates_pass()
    world.two_persons()
    return approving(proposed())


def approve_past_a_gate(world):
    world.two_persons()
    put("warn")
    return approving(proposed(override="agreed with all"))


def approve_after_a_downgrade(world):
    world.gates_pass()
    latched()
    world.two_persons()
    return approving(proposed())


def withdraw_a_proposal(world):
    world.two_persons()
    put("warn")
    proposal = proposed()
    url = reverse("admin:stageapp_modeproposal_withdraw", args=[proposal.pk])
    return Attempt(url, lambda: ModeProposal.objects.get().status == "withdrawn", WHY)


def break_the_glass(world):
    world.gates_pass()
    world.two_persons()
    return setting("enforce", is_in("enforce"), percent=10, break_glass="nobody else is awake")


def deciding(name, worked, **form):
    return Attempt(rollout_actions.address(name), worked, {**WHY, **form})


def pin_out(world):
    put("warn")
    worked = ConsumerPin.objects.filter(consumer="alpha", place="out").exists
    return deciding("pin", worked, consumer="alpha", place="out")


def pin_in(world):
    world.two_persons()
    put("warn")
    worked = ConsumerPin.objects.filter(consumer="alpha", place="in").exists
    return deciding("pin", worked, consumer="alpha", place="in")


def plan_steps(world):
    put("enforce", 10)
    return deciding("plan_steps", PlannedStep.objects.filter(percent=50).exists, percents="50 100")


def approve_steps(world):
    world.two_persons()
    put("enforce", 10)
    schedule.plan_steps(ANN, "for a test")
    return deciding("approve_steps", PlannedStep.objects.filter(status="waiting").exists)


def cancel_steps(world):
    put("enforce", 10)
    schedule.plan_steps(ANN, "for a test")
    return deciding("cancel_steps", PlannedStep.objects.filter(status="cancelled").exists)


def warn_period(world):
    put("warn")
    return deciding("warn_period", WarnPeriod.objects.exists)


def audit(world):
    return deciding("audited", ConsumerAudit.objects.exists)


def send_a_test(world):
    world.fixture("settings").ALERTMANAGER_WEBHOOK_SECRET = SECRET
    url = reverse("admin:stageapp_webhookdelivery_test")
    return Attempt(url, WebhookDelivery.objects.exists, WHY)


def plan(world):
    world.fixture("companies")
    return Attempt(reverse("admin:stageapp_plan_make"), Plan.objects.exists, {"target": TARGET})


def operating(run, name, state):
    def worked():
        run.refresh_from_db()
        return run.state == state

    return Attempt(reverse("admin:stageapp_run_do", args=[run.pk, name]), worked, WHY)


def paused(world):
    return runs.pause(world.started(), actor="ann", reason="for a test")


def tune(world):
    run = world.started()

    def worked():
        run.refresh_from_db()
        return run.shards == 2

    return Attempt(reverse("admin:stageapp_run_tune", args=[run.pk]), worked, {"workers": 2, **WHY})


def change_limits(world):
    url = reverse("admin:stageapp_run_throttle", args=[world.started().pk])
    return Attempt(url, RunThrottle.objects.exists, {"replica_lag": 5, **WHY})


def drain(world):
    return Attempt(reverse("admin:stageapp_workers_drain"), WorkerDrain.objects.exists, WHY)


def roll_back_a_part(world):
    run = world.done()

    def worked():
        run.refresh_from_db()
        return run.state == "rolling_back"

    return Attempt(reverse("admin:stageapp_run_part", args=[run.pk]) + "?first=1", worked, WHY)


def sealing(name, worked):
    url = f"{reverse(f'admin:stageapp_seals_{name}')}?{urlencode({'target': TARGET})}"
    return Attempt(url, worked, {**WHY, "expected_version": snapshot.newest_version()})


def seal_it(world):
    world.fixture("fill")("seed", "growth")
    return sealing("seal", Seal.objects.filter(action="sealed").exists)


def unseal(world):
    world.fixture("fill")("seed", "growth")
    seal.seal(TARGET, actor="ann", reason="for a test")
    return sealing("unseal", Seal.objects.filter(action="unsealed").exists)


def guard(world):
    world.fixture("fill")("seed", "growth")
    return sealing("guard_on", GuardChange.objects.filter(on=True).exists)


def add_an_alias(world):
    form = {
        "spelling": "Sprout",
        "stage": Stage.objects.get(slug="seed").pk,
        "reason": "",
        "source": "",
    }
    worked = StageAlias.objects.filter(key="sprout").exists
    form |= {"comment": "", "why": "seen"}
    return Attempt(reverse("admin:stageapp_stagealias_add"), worked, form)


def decide(world):
    world.fixture("entry")("Fondo X")
    form = {
        "entries": find("Fondo X").pk,
        "decision": "map",
        "stage": "seed",
        "expected_version": snapshot.newest_version(),
        **WHY,
    }
    worked = StageAlias.objects.filter(spelling="Fondo X").exists
    return Attempt(reverse("admin:stageapp_unknownentry_confirm"), worked, form)


def import_aliases(world):
    file = io.BytesIO(b"spelling,stage,reason,source\r\nSprout,seed,,\r\n")
    file.name = "aliases.csv"
    form = {"file": file, "encoding": "utf-8"}
    looked = world.browser.post(reverse("admin:stageapp_stagealias_import"), form)
    seal = looked.context["seal"] if looked.status_code == 200 else ""
    worked = StageAlias.objects.filter(key="sprout").exists
    return Attempt(reverse("admin:stageapp_stagealias_apply"), worked, {"seal": seal, **WHY})


def restore_a_version(world):
    number = snapshot.newest_version()
    with snapshot.change(actor="ann", reason="for a test"):
        Stage.objects.filter(slug="seed").update(label="Sprout")
    form = {"expected_version": snapshot.newest_version(), **WHY}
    worked = VocabularyVersion.objects.filter(reason="for a test", number__gt=number + 1).exists
    return Attempt(reverse("admin:stageapp_vocabularyversion_restore", args=[number]), worked, form)


def create_a_consumer(world):
    form = {"name": "partner", "scopes": ["read"]}
    worked = Consumer.objects.filter(name="partner").exists
    return Attempt(reverse("admin:stageapp_consumer_create"), worked, form)


def revoke_a_token(world):
    consumer, _ = tokens.create("partner", ["read"])
    worked = Consumer.objects.exclude(revoked_at=None).exists
    return Attempt(reverse("admin:stageapp_consumer_revoke", args=[consumer.pk]), worked, WHY)


def backup(verb):
    def attempt(world):
        made = Backup.objects.create(
            name="stage-1",
            taken_at=timezone.now(),
            ended_at=timezone.now(),
            bytes=7,
            actor="ann",
            reason="x",
        )
        one = made if verb in backup_actions.OF_ONE else None
        worked = BackupJob.objects.filter(verb=verb).exists
        return Attempt(backup_actions.address(verb, one), worked, WHY)

    return attempt


def approve_a_plan(world):
    return operating(world.fixture("plan").run, "approve", "approved")


SEALING = {
    "Seal a column": seal_it,
    "Unseal a column": unseal,
    "Switch the guard of a column": guard,
}
TASKS = {
    "See every page": see,
    "Lower the mode": lower,
    "Raise the mode while its gates pass": raise_it,
    "Raise the mode past a gate": raise_past_a_gate,
    "Raise the mode again after an automatic downgrade": raise_after_a_downgrade,
    "Announce, move or withdraw the first day of enforcement": withdraw_the_day,
    "Propose to enforce (two-person rule)": propose,
    "Approve somebody else's proposal while its gates pass": approve,
    "Approve somebody else's proposal past a gate": approve_past_a_gate,
    "Approve somebody else's proposal after an automatic downgrade": approve_after_a_downgrade,
    "Withdraw a proposal": withdraw_a_proposal,
    "Break the glass: enforce without a second person": break_the_glass,
    "Pin a consumer out of the canary": pin_out,
    "Pin a consumer into the canary (two-person rule)": pin_in,
    "Plan larger shares": plan_steps,
    "Approve somebody else's planned steps": approve_steps,
    "Cancel planned steps": cancel_steps,
    "Start a new warn period": warn_period,
    "Record a consumer audit": audit,
    "Send a test delivery": send_a_test,
    "Make a plan": plan,
    "Approve somebody else's plan": approve_a_plan,
    "Start a run": lambda world: operating(world.fixture("plan").run, "start", "running"),
    "Pause a run": lambda world: operating(world.started(), "pause", "paused"),
    "Resume a run": lambda world: operating(paused(world), "resume", "running"),
    "Cancel a run for good": lambda world: operating(world.started(), "cancel", "cancelled"),
    "Tune a run": tune,
    "Change the limits of a run": change_limits,
    "Drain the workers": drain,
    "Roll back a run": lambda world: operating(world.done(), "rollback", "rolling_back"),
    "Roll back a part of a run": roll_back_a_part,
    **SEALING,
    "Add an alias": add_an_alias,
    "Decide an unknown value": decide,
    "Import aliases": import_aliases,
    "Restore a vocabulary version": restore_a_version,
    "Create a consumer": create_a_consumer,
    "Revoke a consumer's token": revoke_a_token,
    "Create a backup": backup("create"),
    "Verify a backup": backup("verify"),
    "Rehearse a restore": backup("rehearse"),
    "Take other backups on record": backup("record"),
    "Remove old backups": backup("prune"),
}
