"""Consumers: who may call the API. The token is on the page that makes it, once, and nowhere else."""

from functools import partial

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache

from stageapp import consumers
from stageapp.admin.confirm import confirmed
from stageapp.admin.screens import ReadOnlyAdmin, page, require
from stageapp.admin.site import site
from stageapp.models.consumers import Consumer


class ConsumerForm(forms.Form):
    """Describes a new consumer."""

    name = forms.CharField(max_length=200, help_text="Who calls: a service, a team, a partner.")
    scopes = forms.MultipleChoiceField(choices=Consumer.SCOPES, widget=forms.CheckboxSelectMultiple)
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires (UTC)",
        help_text="Optional. After it the token is refused.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


@admin.register(Consumer, site=site)
class ConsumerAdmin(ReadOnlyAdmin):
    """Callers and the state of their tokens."""

    change_list_template = "admin/stageapp/consumer_list.html"
    change_form_template = "admin/stageapp/consumer.html"
    list_display = ["name", "scopes", "status", "created_at", "expires_at", "revoked_at"]
    search_fields = ["name"]
    readonly_fields = ["name", "scopes", "status", "created_at", "expires_at", "revoked_at"]

    @admin.display(description="token")
    def status(self, consumer: Consumer) -> str:
        """Return whether the token still works."""
        if consumer.revoked_at:
            return "revoked"
        return "expired" if consumer.expires_at and consumer.expires_at <= timezone.now() else "valid"

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that create and revoke."""
        wrap = self.admin_site.admin_view
        return [
            path("create/", wrap(self.create_view), name="stageapp_consumer_create"),
            path("<int:consumer_id>/revoke/", wrap(self.revoke_view), name="stageapp_consumer_revoke"),
            *super().get_urls(),
        ]

    @method_decorator(never_cache)
    def create_view(self, request: HttpRequest) -> HttpResponse:
        """Describe, then create a consumer and show its token."""
        require(request, "manage_consumers")
        form = ConsumerForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                consumer, token = consumers.create(**form.cleaned_data)
            except consumers.ConsumerError as refusal:
                form.add_error(None, str(refusal))
            else:
                self.log_addition(request, consumer, f"created with scopes {', '.join(consumer.scopes)}")
                return page(
                    request, "consumer_token.html", title="Token", opts=self.opts, consumer=consumer, token=token
                )
        return page(request, "consumer_create.html", title="Create a consumer", opts=self.opts, form=form)

    def revoke_view(self, request: HttpRequest, consumer_id: int) -> HttpResponse:
        """Confirm, then revoke."""
        require(request, "manage_consumers")
        consumer = self.found(request, str(consumer_id))
        return confirmed(
            request,
            partial(self._revoke, request, consumer),
            refusals=consumers.ConsumerError,
            back=reverse("admin:stageapp_consumer_changelist"),
            done=f"The token of {consumer.name} is revoked.",
            title=f"Revoke the token of {consumer.name}",
            explanation="Requests with this token are refused from now on. This cannot be undone.",
            danger=True,
            verb="Revoke",
            opts=self.opts,
        )

    def _revoke(self, request: HttpRequest, consumer: Consumer, reason: str) -> None:
        consumers.revoke(consumer)
        self.log_change(request, consumer, f"revoked: {reason}")
