"""Alert deliveries in the admin: what is shown, and a test that is sent, recorded, and lowers
nothing.
"""

import pytest
from django.urls import reverse

from stageapp.mode import store
from stageapp.models import ModeChange, WebhookDelivery
from stageapp.webhook import deliveries, tally
from stageapp.webhook.authenticators import NotVerified, Sent
from tests.api.gunicorn import free_port, serving
from tests.api.senders import SECRET, TOKEN, body, signed
from tests.processes import database_url
from tests.webhook.receiver import receiving

LIST = reverse("admin:stageapp_webhookdelivery_changelist")
TEST = reverse("admin:stageapp_webhookdelivery_test")


@pytest.fixture
def believed(settings):
    settings.ALERTMANAGER_WEBHOOK_SECRET, settings.ALERTMANAGER_BEARER_TOKEN = SECRET, TOKEN


def send(browser, reason="before the rollout"):
    """Confirm a test; return the page that follows."""
    return browser.post(TEST, {"reason": reason}, follow=True).text


def test_the_list_tells_who_is_believed_and_what_was_only_counted(browser_with, believed):
    sent = body()
    deliveries.receive(Sent(signed(sent), sent, "192.0.2.7"))
    for _ in range(3):
        with pytest.raises(NotVerified):
            deliveries.receive(Sent({}, sent, "192.0.2.8"))
    tally.flush()
    page = browser_with("view_webhookdelivery").get(LIST).text
    for told in (
        "RejectsFastBurn",
        "192.0.2.7",
        "signed with 1 secret",
        "the bearer token",
        "no_credentials",
    ):
        assert told in page
    assert "Send a test" not in page


def test_where_no_secret_is_set_the_list_says_so(browser_with, settings):
    settings.ALERTMANAGER_WEBHOOK_SECRET = settings.ALERTMANAGER_BEARER_TOKEN = ""
    browser = browser_with("view_webhookdelivery", "change_mode")
    assert "no delivery is trusted" in browser.get(LIST).text
    assert "No secret is set" in send(browser)
    assert not WebhookDelivery.objects.exists()


def test_a_test_takes_the_permission_at_each_step(browser_with, believed):
    browser = browser_with("view_webhookdelivery")
    assert browser.get(TEST).status_code == 403
    assert browser.post(TEST, {"reason": "x"}).status_code == 403
    assert not WebhookDelivery.objects.exists()


def test_a_test_needs_a_reason_and_a_look_sends_nothing(browser_with, believed):
    browser = browser_with("view_webhookdelivery", "change_mode")
    assert "does not lower the mode" in browser.get(TEST).text
    assert "This field is required" in browser.post(TEST, {"reason": " "}).text
    assert not WebhookDelivery.objects.exists()


def test_a_test_is_recorded_and_lowers_nothing(browser_with, believed):
    store.change(mode="enforce", actor="ann", reason="a test")
    browser = browser_with("view_webhookdelivery", "change_mode")
    assert "Send a test" in browser.get(LIST).text
    assert "The test arrived" in send(browser)
    row = WebhookDelivery.objects.get()
    assert (row.authenticator, row.result, row.detail) == (
        "standard",
        "test",
        "sam: before the rollout",
    )
    assert (store.latest().mode, ModeChange.objects.count()) == ("enforce", 1)
    assert "The test arrived" in send(browser)
    assert WebhookDelivery.objects.count() == 2


def test_with_an_address_a_test_goes_over_http(browser_with, believed, settings):
    browser = browser_with("view_webhookdelivery", "change_mode")
    with receiving(200, 401) as receiver:
        settings.STAGE_BASE_URL = f"http://127.0.0.1:{receiver.server_port}/"
        assert settings.STAGE_BASE_URL.rstrip("/") in browser.get(TEST).text
        assert "The test arrived" in send(browser)
        ((path, headers, sent),) = receiver.got
        assert path == "/_ops/stage-validation/auto-downgrade"
        assert deliveries.receive(Sent(headers, sent)).result == "test"
        assert "answered 401" in send(browser)
    settings.STAGE_BASE_URL = f"http://127.0.0.1:{free_port()}"
    assert "could not be reached (ConnectionRefusedError)" in send(browser)


@pytest.mark.django_db(transaction=True)
def test_a_test_over_http_arrives_at_a_real_server(browser_with, believed, settings, tmp_path):
    store.change(mode="enforce", actor="ann", reason="a test")
    browser = browser_with("view_webhookdelivery", "change_mode")
    environment = {"DATABASE_URL": database_url(), "ALERTMANAGER_WEBHOOK_SECRET": SECRET}
    with serving(tmp_path / "log", **environment) as port:
        settings.STAGE_BASE_URL = f"http://127.0.0.1:{port}"
        assert "The test arrived" in send(browser)
    assert WebhookDelivery.objects.get().result == "test"
    assert store.latest().mode == "enforce"
