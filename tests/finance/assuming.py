"""Assumptions of a test's own, recorded as an operator's are, or past all checks."""

from stageapp.finance import assumption_store
from stageapp.models import AssumptionChange


def assume(stage, *, checked=True, **figures):
    """Record what is assumed of a stage from now on; what is not named stays."""
    before = assumption_store.newest(stage)
    figures = {**before.figures, **figures}
    if checked:
        assumption_store.change(
            stage,
            figures,
            expected_version=before.version,
            actor="test",
            reason="a test",
        )
    else:
        AssumptionChange.objects.create(
            stage=stage,
            version=before.version + 1,
            actor="test",
            reason="past all checks",
            **figures,
        )
    assumption_store.forget()
