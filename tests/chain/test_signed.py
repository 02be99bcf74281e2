"""The whole way with the relay: bad traffic lowers the mode of two web processes and a Celery worker."""

from tests.chain.measuring import MOST_SECONDS, run_once


def test_bad_traffic_lowers_the_mode_of_every_process_by_a_signed_notification(chain, figure):
    with chain("alertmanager.yml") as (site, monitoring):
        measured = run_once(site, monitoring, good_seconds=8)
        figure("chain, with the relay", measured)
        assert measured.to_last_process < MOST_SECONDS
        assert measured.alert == "StageRejectsFastBurn"
        assert site.downgrades() == [("webhook:standard", True)]
