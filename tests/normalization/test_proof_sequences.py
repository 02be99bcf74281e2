"""Random sequences of all that changes a column: after every step gate, Home, run page and verify
tell the truth.

The truth is a model of the test's own: the column as SQL gives it, what each run changed as the
difference of the column before and after it, and a map of spellings. It shares no code with the
product's comparison.
"""

import io
import random
import time
from dataclasses import dataclass, field

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from stageapp import conf
from stageapp.admin import home
from stageapp.audit import proof, rollbacks
from stageapp.mode import store
from stageapp.mode.history import ModeHistory
from stageapp.models import DriftCheck, Fund, PortfolioCompany, Run, StageAlias, TargetWrite
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, verify, worker
from stageapp.portfolio.imports import import_companies
from stageapp.rollout.gates import readiness
from stageapp.rollout.gates.measures import Measurements
from stageapp.targets import targets
from stageapp.targets.errors import IllegalMove, PlanRefused
from stageapp.unknowns import drift
from stageapp.vocabulary import snapshot
from tests.normalization.evidence import LABEL, ME

SWING = "angel money"  # known while there is an alias of it
KNOWN = {
    "Seed": "seed",
    " SEED ": "seed",
    "Series A": "series_a",
    "series-a": "series_a",
    "Growth": "growth",
}
CANONICAL = ["seed", "series_a", "growth", "pre_seed"]
UNKNOWN = ["nobody knows", "???", SWING]
VALUES = [*KNOWN, *CANONICAL, *UNKNOWN]
STEPS = 10


@dataclass
class Model:
    """One run as the test saw it: what it wrote last into each row, by a batch or by a rollback."""

    run: int
    map: dict
    last: dict = field(default_factory=dict)  # key → (was it undone, the value written)
    written: int = 0
    undone: int = 0
    state: str = "planned"
    verified: bool = False  # since the last change that the system knows of, with nothing left

    @property
    def nothing(self):
        return 0 < self.written <= self.undone

    @property
    def words(self):
        if not self.undone:
            return ""
        if self.nothing:
            return f"rolled back: none of {self.written:,} rows remains changed"
        left = self.written - self.undone
        remain = "remains" if left == 1 else "remain"
        return f"partly rolled back: {left:,} of {self.written:,} rows {remain} changed"


class Walk:
    """One sequence: it does steps at random, and knows what must be true after each."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.models = {}
        self.begun = []  # in the order in which they began
        self.told = []
        self.swings = self.proved_at_end = False
        self.changed_since_plan = {}
        self.fund = Fund.objects.create(name="F")
        rows = [self.chance.choice(VALUES) for _ in range(self.chance.randint(1, 4))]
        PortfolioCompany.objects.bulk_create(
            PortfolioCompany(fund=self.fund, name="c", stage=stage) for stage in rows
        )
        self.root = User(username="root", is_superuser=True, is_active=True)

    def column(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, stage FROM stageapp_portfoliocompany")
            return dict(cursor.fetchall())

    def is_known(self, value):
        return value in KNOWN or (value == SWING and self.swings)

    def step(self):
        kinds = [
            self.plan,
            self.run,
            self.part,
            self.whole,
            self.load,
            self.edit,
            self.past,
            self.alias,
            self.verify,
        ]
        kind = self.chance.choices(kinds, [3, 5, 2, 2, 1, 1, 6, 2, 3])[0]
        self.told.append(kind.__name__)
        kind()
        if self.judged() is not None and self.stands(self.judged()):
            DriftCheck.objects.update(
                writes=-1
            )  # PostgreSQL counts no write of a transaction that is open
        drift.watch()
        judged = self.judged()
        if judged is not None and self.stands(judged) and self.known():
            self.withdraw()  # the watch saw it
        self.check()

    # --- what may happen

    def plan(self):
        made = plans.make_plan(LABEL, actor="tester")
        named = {value for value in self.column().values() if self.is_known(value)}
        self.models[made.run.pk] = Model(
            made.run.pk, {value: self.meaning(value) for value in named}
        )
        self.changed_since_plan[made.run.pk] = False

    def run(self):
        planned = [one for one in self.models.values() if one.state == "planned"]
        if not planned:
            return
        model, before = self.chance.choice(planned), self.column()
        run = Run.objects.get(pk=model.run)
        try:
            with transaction.atomic():
                runs.start(run, **ME)
        except PlanRefused:
            return
        worker.advance(run)
        assert run.state == State.DONE, run.last_error
        changed = self.difference(before)
        assert changed == {k: model.map[v] for k, v in before.items() if v in model.map}
        if changed:
            self.withdraw()
        model.last = {key: (False, value) for key, value in changed.items()}
        model.written, model.state = len(changed), "done"
        self.begun.append(model)
        model.verified = not self.known()

    def part(self):
        done = [one for one in self.begun if one.state == "done"]
        if not done:
            return
        model = self.chance.choice(done)
        if model.map and self.chance.random() < 0.7:
            scope = {"value": self.chance.choice(sorted(model.map))}
        else:
            batches = list(Run.objects.get(pk=model.run).batches.values_list("id", flat=True))
            scope = {"batches": [min(batches, default=1), max(batches, default=1)]}
        self.undo(model, scope)

    def whole(self):
        done = [one for one in self.begun if one.state == "done"]
        if done:
            model = self.chance.choice(done)
            self.undo(model, {})
            model.state = "rolled_back"

    def undo(self, model, scope):
        before, run = self.column(), Run.objects.get(pk=model.run)
        try:
            with transaction.atomic():
                runs.request_rollback(run, scope=scope, **ME)
        except IllegalMove:
            return
        worker.advance(run)
        changed = self.difference(before)
        model.last |= {key: (True, value) for key, value in changed.items()}
        model.undone += len(changed)
        if changed:
            self.withdraw()

    def load(self):
        values = [self.chance.choice(VALUES) for _ in range(self.chance.randint(1, 3))]
        text = "name,stage\n" + "".join(f'c,"{value}"\n' for value in values)
        import_companies(
            io.BytesIO(text.encode()),
            fund="F",
            stage_column="stage",
            name_column="name",
            actor="tester",
        )
        self.withdraw(arrived=True)

    def edit(self):
        if keys := sorted(self.column()):
            PortfolioCompany.objects.filter(pk=self.chance.choice(keys)).update(
                stage=self.chance.choice(VALUES)
            )
            proof.record_write(LABEL, TargetWrite.EDIT, 1, actor="tester", reason="an edit")
            self.withdraw(arrived=True)

    def past(self):
        """Write or delete past the system: only the watch can find it."""
        if keys := sorted(self.column()):
            row = PortfolioCompany.objects.filter(pk=self.chance.choice(keys))
            row.delete() if self.chance.random() < 0.2 else row.update(
                stage=self.chance.choice(VALUES)
            )

    def alias(self):
        with snapshot.change(**ME):
            if self.swings:
                StageAlias.objects.filter(spelling=SWING).delete()
            else:
                stage = StageAlias.objects.filter(stage__slug="pre_seed").values_list(
                    "stage_id", flat=True
                )[0]
                StageAlias.objects.create(
                    spelling=SWING, key=snapshot.normalize(SWING).key, stage_id=stage
                )
        snapshot.forget()
        self.swings = not self.swings
        self.withdraw(arrived=True)

    def verify(self):
        done = [one for one in self.begun if one.state == "done"]
        if done:
            judged = self.judged()
            model = judged if judged in done else self.chance.choice(done)
            verify.verify(Run.objects.get(pk=model.run), **ME)
            model.verified = not self.known()

    # --- what must be true

    def withdraw(self, *, arrived=False):
        for model in self.models.values():
            model.verified = False
        if arrived:
            self.changed_since_plan = dict.fromkeys(self.changed_since_plan, True)

    def meaning(self, value):
        return KNOWN.get(value, "pre_seed")

    def difference(self, before):
        return {key: value for key, value in self.column().items() if before.get(key) != value}

    def known(self):
        return [key for key, value in self.column().items() if self.is_known(value)]

    def judged(self):
        newest_first = list(reversed(self.begun))
        standing = [one for one in newest_first if self.stands(one)]
        return next(iter(standing or newest_first), None)

    def stands(self, model):
        return model.state == "done" and not model.nothing

    def proved(self):
        judged = self.judged()
        good = judged is not None and self.stands(judged) and not judged.undone and judged.verified
        return good and not self.known()

    def check(self):
        now = timezone.now()
        measured = Measurements(now, ModeHistory(), proofs=[proof.of_target(LABEL, now)])
        gate = readiness.run_complete(measured, conf.gates())
        assert gate.passes == self.proved(), (gate.deciding.why, self.judged())
        self.check_home()
        for model in self.models.values():
            assert rollbacks.standing(Run(pk=model.run)).words == model.words
        if self.begun:
            self.check_comparison(self.chance.choice(self.begun))

    def check_home(self):
        newest = Run.objects.select_related("plan").first()
        panels = {"mode": {"state": store.latest()}, "run": {"run": newest}}
        label = home.find(self.root, panels).label
        if newest is not None and newest.state == State.PLANNED:
            if self.changed_since_plan[newest.pk]:
                assert label == "Plan again" or (self.proved() and not newest.plan.rows_to_change)
                return
            if not (self.proved() and not newest.plan.rows_to_change):
                assert label in ("Review and start", "Plan again")
                return
        judged = self.judged()
        if self.proved():
            assert label == "View the rollout"  # where another gate holds the mode
        elif judged is None:
            assert label == "Make a plan"
        elif not self.stands(judged) or judged.undone or self.known():
            assert label == "Plan again"
        else:
            assert label in ("Verify", "Plan again"), "what was found then may be repaired by now"

    def check_comparison(self, model):
        column = self.column()
        found = verify.compare(
            Run.objects.get(pk=model.run), targets.resolve(LABEL), snapshot.load()
        )
        forward = {key: value for key, (undone, value) in model.last.items() if not undone}
        back = {key: value for key, (undone, value) in model.last.items() if undone}
        given_back = [k for k, v in back.items() if column.get(k) == v and self.is_known(v)]
        rest = [key for key in self.known() if key not in given_back]
        expected = {
            "agrees": True,
            "ok": not self.known(),
            "rows": len(column),
            "entries": model.written,
            "undone": model.undone,
            "rows_undone": len(back),
            "rows_as_written": sum(column.get(key) == value for key, value in forward.items()),
            "rows_deleted_since": sum(key not in column for key in forward),
            "rows_changed_since": sum(
                column.get(key, value) != value for key, value in forward.items()
            ),
            "rows_given_back": len(given_back),
            "rows_left": sum(column[key] in model.map for key in rest),
            "rows_unplanned": sum(column[key] not in model.map for key in rest),
            "rows_unknown": sum(
                not self.is_known(v) and v not in CANONICAL for v in column.values()
            ),
            "quarantined": 0,
        }
        assert {name: found[name] for name in expected} == expected


def walked(seed):
    """Do one sequence in a transaction that is rolled back; say its seed and its steps where it
    fails.
    """
    walk = None
    try:
        with transaction.atomic():
            walk = Walk(seed)
            for _ in range(STEPS):
                walk.step()
            walk.proved_at_end = walk.proved()
            transaction.set_rollback(True)
    except AssertionError as error:
        pytest.fail(f"seed {seed}, after {', '.join(walk.told)}: {error}")
    finally:
        snapshot.forget()
    return walk


def many(first, number, figure):
    began, kinds, passed = time.monotonic(), {}, 0
    for seed in range(first, first + number):
        walk = walked(seed)
        passed += walk.proved_at_end
        for kind in walk.told:
            kinds[kind] = kinds.get(kind, 0) + 1
    seconds = time.monotonic() - began
    figure(
        f"sequences of {STEPS} steps, seeds {first} to {first + number - 1}",
        f"{number} in {seconds:.0f} s, every step true; {passed} ended proved; "
        + ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())),
    )


@pytest.fixture
def _at_once(db, settings):
    settings.STAGE_BATCH_PAUSE_SECONDS = 0


@pytest.mark.usefixtures("_at_once")
def test_twenty_sequences(figure):
    many(1, 20, figure)


@pytest.mark.full
@pytest.mark.usefixtures("_at_once")
@pytest.mark.parametrize("first", [1_000, 2_000])
def test_a_thousand_sequences_each(figure, first):
    many(first, 1_000, figure)
