"""The metrics: every one is documented, and counts what it says."""

import re
from pathlib import Path

from stageapp.infrastructure import metrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def documented():
    rows = [
        line.split("|")[1] for line in PAGE.read_text().splitlines() if line.startswith("| `stage_")
    ]
    return {name for row in rows for name in re.findall(r"`(stage_\w+)`", row)}


def test_the_page_names_every_metric_and_no_other():
    histograms = {
        name.removesuffix("_bucket") for name in metrics.series() if name.endswith("_bucket")
    }
    others = {
        name
        for name in metrics.series()
        if not name.startswith(tuple(f"{one}_" for one in histograms))
    }
    assert documented() == histograms | others


def test_labels_are_few_and_never_what_a_caller_sends():
    allowed = {
        "endpoint",
        "mode",
        "outcome",
        "reason",
        "store",
        "process",
        "direction",
        "task",
        "authenticator",
        "kind",
        "state",
        "target",
        "queue",
    }
    used = {label for family in metrics.FAMILIES for label in family.labels}
    used |= {label for one in metrics._INSTRUMENTS for label in one._labelnames}
    assert used <= allowed
