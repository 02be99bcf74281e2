"""A rule that asks for a label or a value that no series has would be silent for ever: each has
to exist.
"""

import re

import pytest

from stageapp.infrastructure import metrics
from stageapp.models.normalization import State
from stageapp.webhook import authenticators, tally
from tests.config.observability.test_dashboard import EXPRESSIONS
from tests.config.observability.test_rules import rules

SELECTOR = re.compile(r"\b(stage_\w+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!=|=)\s*"([^"]*)"')
OF_PROMETHEUS = {"job", "instance", "le"}
# (series, label) → what the program writes there. Without a series: wherever the label is.
VALUES = {
    ("", "mode"): set(metrics.MODES),
    ("", "store"): set(metrics.STORES),
    ("stage_requests_total", "outcome"): {"accepted", "warned", "rejected", "malformed", "error"},
    ("stage_run_state", "state"): set(State.values),
    ("stage_processes", "state"): {"live", "stale"},
    ("stage_mode_changes_total", "kind"): {"manual", "downgrade", "scheduled"},
    ("stage_webhook_deliveries_total", "authenticator"): {
        authenticators.STANDARD,
        authenticators.ALERTMANAGER,
        authenticators.BEARER,
        authenticators.NONE,
    },
    ("stage_webhook_deliveries_total", "outcome"): set(tally.UNEVENTFUL),
    ("", "le"): {f"{edge:g}" for edge in metrics.VALIDATION_EDGES},
}


def labels_of(series: str) -> set[str]:
    """Return the labels that the program writes on a series."""
    found = {family.name: family.labels for family in metrics.FAMILIES}
    found |= {one.describe()[0].name: one._labelnames for one in metrics._INSTRUMENTS}
    names = [name for name in found if series in (name, *(f"{name}_{part}" for part in PARTS))]
    return set(found[names[0]])


PARTS = ("total", "bucket", "count", "sum")


def selections(expression: str) -> list[tuple[str, str, str]]:
    """Return (series, label, value) for every matcher; one of several alternatives is one."""
    return [
        (series, label, value)
        for series, matchers in SELECTOR.findall(expression)
        for label, _, values in MATCHER.findall(matchers)
        for value in values.split("|")
    ]


def allowed(series: str, label: str) -> set[str] | None:
    return VALUES.get((series, label)) or VALUES.get(("", label))


ASKED = sorted(
    {
        found
        for text in [*(rule["expr"] for rule in rules()), *EXPRESSIONS]
        for found in selections(text)
    }
)


@pytest.mark.parametrize("series, label, value", ASKED)
def test_a_selector_asks_for_a_label_that_is_there_and_for_a_value_that_it_takes(
    series, label, value
):
    assert label in labels_of(series) | OF_PROMETHEUS
    assert value in allowed(series, label)


def test_selectors_are_found_and_wrong_ones_would_be_seen():
    assert len(ASKED) > 15
    assert selections('rate(stage_requests_total{mode="on", outcome!="reject"}[5m])') == [
        ("stage_requests_total", "mode", "on"),
        ("stage_requests_total", "outcome", "reject"),
    ]
    assert "on" not in allowed("stage_requests_total", "mode")
    assert "reject" not in allowed("stage_requests_total", "outcome")
    assert labels_of("stage_validation_seconds_bucket") == {"endpoint"}
