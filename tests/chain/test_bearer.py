"""The whole way without the relay: Alertmanager itself calls the webhook, with its bearer credential."""

from tests.chain.measuring import MOST_SECONDS, run_once


def test_bad_traffic_lowers_the_mode_of_every_process_by_a_bearer_credential(chain, figure):
    with chain("alertmanager-bearer.yml") as (site, monitoring):
        measured = run_once(site, monitoring, good_seconds=8)
        figure("chain, with the bearer credential", measured)
        assert measured.to_last_process < MOST_SECONDS
        assert measured.alert == "StageRejectsFastBurn"
        assert site.downgrades() == [("webhook:bearer", True)]
