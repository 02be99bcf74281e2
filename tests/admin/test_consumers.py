"""Consumers in the admin: the token is on one page only."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from stageapp.models import Consumer

pytestmark = pytest.mark.django_db

CREATE = reverse("admin:stageapp_consumer_create")
MANAGER = ["manage_consumers", "view_consumer"]


def test_the_token_is_shown_once_and_kept_nowhere(browser_with):
    browser = browser_with(*MANAGER)
    answer = browser.post(CREATE, {"name": "partner", "scopes": ["read", "write"]})
    token = answer.context["token"]
    consumer = Consumer.objects.get()
    assert token in answer.text
    assert "no-store" in answer["cache-control"]
    assert consumer.token_sha256 == Consumer.digest(token)
    assert consumer.scopes == ["read", "write"]
    assert not answer.cookies.get("messages")
    for name, args in (("changelist", []), ("change", [consumer.pk])):
        assert token not in browser.get(reverse(f"admin:stageapp_consumer_{name}", args=args)).text


@pytest.mark.parametrize(
    ("form", "complaint"),
    [
        ({"name": "", "scopes": ["read"]}, "required"),
        ({"name": "partner", "scopes": []}, "required"),
        ({"name": "partner", "scopes": ["root"]}, "root"),
        ({"name": "partner", "scopes": ["read"], "expires_at": "2001-01-01T00:00"}, "in the past"),
    ],
)
def test_a_consumer_that_cannot_be_made_is_refused_in_words(browser_with, form, complaint):
    assert complaint in browser_with(*MANAGER).post(CREATE, form).text
    assert not Consumer.objects.exists()


def test_reloading_the_token_page_makes_no_second_consumer(browser_with):
    browser = browser_with(*MANAGER)
    form = {"name": "partner", "scopes": ["read"]}
    browser.post(CREATE, form)
    assert "already" in browser.post(CREATE, form).text
    assert Consumer.objects.count() == 1


def test_revoking_is_confirmed_and_its_reason_is_in_the_history(browser_with):
    browser = browser_with(*MANAGER, name="mona")
    browser.post(CREATE, {"name": "partner", "scopes": ["read"]})
    consumer = Consumer.objects.get()
    revoke = reverse("admin:stageapp_consumer_revoke", args=[consumer.pk])
    assert revoke in browser.get(reverse("admin:stageapp_consumer_change", args=[consumer.pk])).text
    browser.get(revoke)
    assert Consumer.objects.get().revoked_at is None
    browser.post(revoke, {"reason": "the token was in a log"})
    assert Consumer.objects.get().revoked_at is not None
    assert "the token was in a log" in LogEntry.objects.first().change_message
    assert "revoked" in browser.get(reverse("admin:stageapp_consumer_changelist")).text


def test_a_viewer_sees_consumers_and_neither_creates_nor_revokes(browser_with, consumer):
    browser = browser_with("view_consumer")
    assert browser.get(reverse("admin:stageapp_consumer_changelist")).status_code == 200
    assert browser.post(CREATE, {"name": "other", "scopes": ["read"]}).status_code == 403
    revoke = reverse("admin:stageapp_consumer_revoke", args=[consumer.pk])
    assert browser.post(revoke, {"reason": "x"}).status_code == 403
    assert Consumer.objects.get().revoked_at is None
