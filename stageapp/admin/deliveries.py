"""Webhook deliveries: what came, from whom and to what effect, and a button that sends a test."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from stageapp import conf
from stageapp.admin.actions import Action
from stageapp.admin.screens import BoundedAdmin
from stageapp.admin.site import site
from stageapp.models.webhook import AUTHENTICATORS, RESULTS, WebhookDelivery
from stageapp.webhook import deliveries, tally
from stageapp.webhook.secrets import webhook_secrets, webhook_tokens

HOURS = 24
_NAMES = {"authenticator": dict(AUTHENTICATORS), "result": dict(RESULTS)}


@admin.register(WebhookDelivery, site=site)
class WebhookDeliveryAdmin(BoundedAdmin):
    change_list_template = "admin/stageapp/delivery_list.html"
    list_display = ["received_at", "result", "names", "authenticator", "remote", "detail"]
    list_filter = ["result", "authenticator", "received_at"]
    sortable_by = ()
    search_fields = ["webhook_id__exact"]
    search_help_text = "The full id of a delivery."

    @admin.display(description="alerts")
    def names(self, delivery: WebhookDelivery) -> str:
        return ", ".join(delivery.alerts)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the configured authenticators and the counted deliveries above the list."""
        counts = [
            {**count, **{name: names[str(count[name])] for name, names in _NAMES.items()}}
            for count in tally.uneventful(HOURS)
        ]
        ways = {"signed": len(webhook_secrets()), "bearer": len(webhook_tokens())}
        return super().changelist_view(
            request, {"counts": counts, "hours": HOURS, "ways": ways, **(extra_context or {})}
        )

    def get_urls(self) -> list[URLPattern]:
        wrapped = self.admin_site.admin_view(self.test_view)
        return [path("test/", wrapped, name="stageapp_webhookdelivery_test"), *super().get_urls()]

    def test_view(self, request: HttpRequest) -> HttpResponse:
        """Confirm, then send a test."""
        return TEST.confirm(
            request,
            None,
            back=reverse("admin:stageapp_webhookdelivery_changelist"),
            title="Send a test",
            opts=self.opts,
        )


def _what_a_test_does(request: HttpRequest, subject: None) -> str:
    url = conf.base_url()
    where = f"over HTTP to {url}" if url else "directly to the verification code"
    return (
        f"A delivery like that of a real alert is signed and sent {where}. It is recorded "
        "as a test and does not lower the mode."
    )


TEST: Action[None] = Action(
    "Send",
    "change_mode",
    lambda subject, person, reason: deliveries.send_test(person, reason),
    _what_a_test_does,
    "The test arrived and is in the list. The mode is unchanged.",
    deliveries.TrialFailed,
)
