"""One run of the chain: bad traffic begins, an alert fires, and some seconds later no process
enforces.
"""

import time
from dataclasses import dataclass

from tests.chain.monitoring import Monitoring
from tests.chain.site import Site
from tests.chain.traffic import Traffic
from tests.faults.fleet import until

MOST_SECONDS = 30.0  # what is promised, from the first firing alert to the last process in warn
GIVE_UP_SECONDS = 75.0  # bad traffic that has not lowered the mode by then has failed the run


@dataclass(frozen=True)
class Measured:
    """Times of one run, in seconds: from the first bad request to the firing, and from the
    firing to the end.
    """

    alert: str
    to_firing: float
    to_last_process: float
    to_last_refusal: float  # after the firing; when the last request that was refused was sent

    @property
    def from_first_bad(self) -> float:
        """Return the time from the first bad request to the last process in warn."""
        return self.to_firing + self.to_last_process

    def __str__(self) -> str:
        return (
            f"{self.alert}: first bad request to firing {self.to_firing:.1f} s, firing to last "
            f"process in warn {self.to_last_process:.2f} s, together {self.from_first_bad:.1f} s"
        )


def run_once(site: Site, monitoring: Monitoring, good_seconds: float) -> Measured:
    """Send good traffic for a while, then bad traffic until every process is in warn; return
    what it took.
    """
    assert site.all_in("enforce")
    with Traffic(site.web_port) as traffic:
        time.sleep(good_seconds)
        assert {answer.status for answer in traffic.answers} == {200}
        assert site.all_in("enforce")
        began = time.time()
        traffic.bad = True
        until(
            lambda: site.all_in("warn"),
            GIVE_UP_SECONDS,
            lambda: monitoring.log() + site.fleet.log(),
        )
        ended = time.time()
        time.sleep(1)  # what is asked now is answered in warn
    fired, alert = _first_firing(monitoring, began)
    assert traffic.errors == []
    assert {answer.status for answer in traffic.answers if answer.at > ended} == {200}
    return Measured(
        alert, fired - traffic.first_bad(), ended - fired, traffic.last_refused() - fired
    )


def _first_firing(monitoring: Monitoring, since: float) -> tuple[float, str]:
    found = monitoring.first_firing(since)
    assert found is not None, "the mode was lowered, but not by an alert"
    return found
