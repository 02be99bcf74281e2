"""Whatever a small table holds and whoever edits it between the steps: I1 holds and a rollback
undoes the run.
"""

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stageapp.models import PortfolioCompany
from stageapp.models.normalization import State
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from tests.normalization.evidence import LABEL, ME, assert_i1, column

KNOWN = [
    "Seed",
    "seed",
    " SEED ",
    "series-a",
    "Series A",
    "series_a",
    "Pre Seed",
    "S\u00e9ries B",
    "growth",
]
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=12)
SPELLING = st.sampled_from(KNOWN) | TEXT
EDITS = st.lists(
    st.tuples(st.integers(0, 11), st.none() | SPELLING), max_size=4
)  # None deletes the row


def edit(ids, edits):
    """Apply edits to rows by their place; return the keys that somebody has touched."""
    touched = set()
    for place, stage in edits:
        key = ids[place % len(ids)]
        rows = PortfolioCompany.objects.filter(pk=key)
        rows.delete() if stage is None else rows.update(stage=stage)
        touched.add(key)
    return touched


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(SPELLING, min_size=1, max_size=12), EDITS, EDITS)
@example(["Seed"], [(0, "SEED")], [(0, "Seed")])
@example(["Seed", "SEED"], [], [(0, "growth"), (1, None)])
def test_plan_run_rollback(fill, stages, before_run, after_run):
    PortfolioCompany.objects.all().delete()
    ids = fill(*stages)
    plan = plans.make_plan(LABEL, actor="tester")
    edit(ids, before_run)
    original = column()
    run = worker.advance(runs.start(plan.run, **ME))
    assert run.state == State.DONE, run.last_error
    assert_i1(run, original)
    map_ = {old: new for _, old, new in plans.changes(plan)}
    assert column() == {key: map_.get(stage, stage) for key, stage in original.items()}
    touched = edit(ids, after_run)
    edited = column()
    worker.advance(runs.request_rollback(run, **ME))
    assert run.state == State.ROLLED_BACK
    for key, stage in column().items():
        expected = {edited[key], original[key]} if key in touched else {original[key]}
        assert stage in expected
        if key in touched and edited[key] != map_.get(original[key], original[key]):
            assert stage == edited[key], "an edit since the run was overwritten"
