"""What a delivery adds to the metric that the alert on refused ones watches."""

import pytest
from prometheus_client import REGISTRY

from tests.api.senders import OTHER, bearing, body, deliver, signed

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("believed")]

BODY = body()
# Signed when they are sent: a signature is good for five minutes.
SENT = {
    "believed": (BODY, lambda: signed(BODY), "standard", "not_enforced"),
    "wrongly signed": (BODY, lambda: signed(BODY, secret=OTHER), "standard", "refused"),
    "not readable": (b"{}", bearing, "bearer", "unreadable"),
    "without credentials": (BODY, dict, "none", "refused"),
}


def counted(authenticator, outcome):
    labels = {"authenticator": authenticator, "outcome": outcome}
    return REGISTRY.get_sample_value("stage_webhook_deliveries_total", labels) or 0


@pytest.mark.parametrize("what", SENT)
def test_each_delivery_is_counted_once_by_who_sent_it_and_what_came_of_it(
    what, client, django_capture_on_commit_callbacks
):
    sent, headers, authenticator, outcome = SENT[what]
    before = counted(authenticator, outcome)
    with django_capture_on_commit_callbacks(execute=True):
        deliver(client, sent, headers())
    assert counted(authenticator, outcome) == before + 1
