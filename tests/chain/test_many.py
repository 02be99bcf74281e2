"""Many runs each way, for the table in docs/reliability.md.

`pytest -m chain_full -n 0 -s tests/chain`; about half an hour.
"""

import random
import statistics
import time

import pytest

from tests.chain.conftest import WAYS
from tests.chain.measuring import MOST_SECONDS, run_once
from tests.chain.traffic import Traffic
from tests.faults.fleet import until

RUNS, ALERTS = 10, 100
SEED = 20
# Long enough for the alert's whole window to hold good requests only.
GOOD_SECONDS = 32.0

pytestmark = pytest.mark.chain_full
EACH_WAY = pytest.mark.parametrize("way", WAYS)


def spread(values):
    return f"{statistics.median(values):.2f}/{max(values):.2f} s (median/max of {len(values)})"


@EACH_WAY
def test_ten_times_bad_traffic_lowers_the_mode_within_thirty_seconds_of_the_alert(
    site, watched, figure, way
):
    dice, measured, before = random.Random(SEED), [], len(site.downgrades())
    with watched(way) as monitoring:
        for _ in range(RUNS):
            site.enforce()
            # At any point between two scrapes and two evaluations.
            measured.append(run_once(site, monitoring, GOOD_SECONDS + dice.uniform(0, 5)))
            figure(f"chain, {way}", measured[-1])
    assert len(site.downgrades()) == before + RUNS
    figure(
        f"chain, {way}, first bad request to firing", spread([each.to_firing for each in measured])
    )
    figure(
        f"chain, {way}, firing to last process in warn",
        spread([each.to_last_process for each in measured]),
    )
    figure(f"chain, {way}, together", spread([each.from_first_bad for each in measured]))
    assert max(each.to_last_process for each in measured) < MOST_SECONDS


@EACH_WAY
def test_a_hundred_alerts_under_load_each_lower_the_mode(site, watched, figure, way):
    """Fault 26, from Alertmanager on: 50 good requests a second, and every alert is a new one."""
    took, before = [], len(site.downgrades())
    with watched(way) as monitoring, Traffic(site.web_port, rate=50, threads=16) as traffic:
        for number in range(ALERTS):
            site.enforce()
            began = time.monotonic()
            monitoring.alert(
                alertname="StageRejectsFastBurn",
                severity="page",
                action="downgrade",
                run=str(number),
            )
            until(
                lambda: site.all_in("warn"),
                MOST_SECONDS,
                lambda: monitoring.log() + site.fleet.log(),
            )
            took.append(time.monotonic() - began)
            monitoring.alert(
                ended=True, alertname="StageRejectsFastBurn", action="downgrade", run=str(number)
            )
    figure(f"fault 26, {way}, alert to last process in warn", spread(took))
    assert (traffic.errors, {answer.status for answer in traffic.answers}) == ([], {200})
    assert len(site.downgrades()) == before + ALERTS
