"""Consumers in the admin: the token is on one page only."""

import csv
import datetime
import io

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from stageapp.consumers import contacts, sightings
from stageapp.models import Consumer, ConsumerSighting
from tests.api.calls import post

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


@pytest.fixture
def audited(client_of, consumer):
    """Make requests of a consumer, and write what was counted."""
    contacts.buffer.forget()
    sightings.buffer.forget()
    client = client_of(consumer)
    post(client, "monte_carlo", {"Series A": 0.5, "<b>Seires B</b>": 0.25, "seed": 0.25})
    client.get("/api/stages", REMOTE_ADDR="8.8.8.8", HTTP_USER_AGENT="<i>reporter</i>")
    contacts.flush()
    sightings.flush()
    return consumer


def test_the_list_is_the_audit_of_all_consumers(browser_with, audited, consumer_named):
    consumer_named("silent", "read")
    text = browser_with("view_consumer").get(reverse("admin:stageapp_consumer_changelist")).text
    assert "monte_carlo, stages" in text
    assert "external, internal" in text
    assert "33.3 % of 3" in text
    assert text.count("% of") == 1  # the silent one has none
    assert reverse("admin:stageapp_consumer_export") in text


def test_the_list_takes_as_many_queries_for_many_consumers(
    browser_with, audited, consumer_named, django_assert_max_num_queries
):
    for number in range(30):
        consumer_named(f"more {number}", "read")
    browser = browser_with("view_consumer")
    with django_assert_max_num_queries(8):
        assert browser.get(reverse("admin:stageapp_consumer_changelist")).status_code == 200


def test_the_list_can_be_ordered_by_when_a_consumer_was_seen(browser_with, audited):
    url = reverse("admin:stageapp_consumer_changelist")
    assert "alpha" in browser_with("view_consumer").get(url, {"o": "-3"}).text


def test_a_consumers_page_says_what_to_send_instead_and_where_it_calls_from(browser_with, audited):
    text = (
        browser_with("view_consumer")
        .get(reverse("admin:stageapp_consumer_change", args=[audited.pk]))
        .text
    )
    assert "<code>series_a</code>" in text
    assert "&lt;b&gt;Seires B&lt;/b&gt;" in text
    assert contacts.agent_hash("<i>reporter</i>") in text
    assert "reporter" not in text
    assert "8.8.8.8" not in text
    assert "external" in text


def test_the_audit_is_exported_for_those_who_may_see_it(browser_with, audited):
    answer = browser_with("view_consumer").get(reverse("admin:stageapp_consumer_export"))
    assert answer["content-type"].startswith("text/csv")
    assert "attachment" in answer["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["send_instead"] for row in rows} == {"series_a", ""}
    assert {row["consumer"] for row in rows} == {"alpha"}
    assert (
        browser_with(name="other").get(reverse("admin:stageapp_consumer_export")).status_code == 403
    )


def test_the_list_counts_seven_days(browser_with, audited):
    ConsumerSighting.objects.update(day=timezone.now().date() - datetime.timedelta(days=7))
    assert (
        "% of"
        not in browser_with("view_consumer").get(reverse("admin:stageapp_consumer_changelist")).text
    )
