"""Ten runs each way, one after the other on one chain that goes on; the figures are in docs/reliability.md.

pytest -m chain_full -n 0 tests/chain
"""

import random
import statistics

import pytest

from tests.chain.measuring import MOST_SECONDS, run_once

RUNS = 10
SEED = 20
# Long enough for the alert's whole window to hold good requests only.
GOOD_SECONDS = 32.0

pytestmark = pytest.mark.chain_full


@pytest.mark.parametrize("way, file", [("relay", "alertmanager.yml"), ("bearer", "alertmanager-bearer.yml")])
def test_ten_times_bad_traffic_lowers_the_mode_within_thirty_seconds_of_the_alert(chain, figure, way, file):
    dice = random.Random(SEED)
    measured = []
    with chain(file) as (site, monitoring):
        for _ in range(RUNS):
            site.enforce()
            # At any point between two scrapes and two evaluations.
            measured.append(run_once(site, monitoring, GOOD_SECONDS + dice.uniform(0, 5)))
            figure(way, measured[-1])
        assert len(site.downgrades()) == RUNS
    for what in ("to_last_process", "from_first_bad"):
        values = [getattr(each, what) for each in measured]
        figure(f"{way}, {what}, median/max of {RUNS}", f"{statistics.median(values):.2f}/{max(values):.2f}")
    assert max(each.to_last_process for each in measured) < MOST_SECONDS
