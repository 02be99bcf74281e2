"""The whole way, once with each of the shipped configurations: signed by the relay, or with a
bearer credential.
"""

import pytest

from tests.chain.conftest import WAYS
from tests.chain.measuring import MOST_SECONDS, run_once


@pytest.mark.parametrize("way", WAYS)
def test_bad_traffic_lowers_the_mode_of_every_process(site, watched, figure, way):
    before = len(site.downgrades())
    with watched(way) as monitoring:
        measured = run_once(site, monitoring, good_seconds=8)
    figure(f"chain, {way}", measured)
    assert measured.to_last_process < MOST_SECONDS
    assert measured.alert == "StageRejectsFastBurn"
    assert site.downgrades()[before:] == [(WAYS[way][1], "StageRejectsFastBurn")]
