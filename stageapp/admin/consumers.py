"""Consumers: who may call the API, and what they still send. A token is shown only at creation."""

import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from stageapp.admin.actions import Action
from stageapp.admin.screens import BoundedAdmin, PageAdmin, download, page, require
from stageapp.admin.site import site
from stageapp.consumers import tokens
from stageapp.consumers.audit.callers import DAYS, audit, status_of, with_figures
from stageapp.consumers.audit.files import export_audit
from stageapp.infrastructure import words
from stageapp.models.consumers import Consumer, ConsumerSighting
from stageapp.models.traffic import TrafficWindow
from stageapp.people import Person
from stageapp.vocabulary import text


class ConsumerForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="Who calls: a service, a team, a partner.")
    scopes = forms.MultipleChoiceField(choices=Consumer.SCOPES, widget=forms.CheckboxSelectMultiple)
    expires_at = forms.DateTimeField(
        required=False,
        label="Expires (UTC)",
        help_text="Optional. After it the token is refused.",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


@admin.register(Consumer, site=site)
class ConsumerAdmin(PageAdmin):
    """The consumer audit: callers, their tokens, and what they still send."""

    page_template = "consumer.html"
    change_list_template = "admin/stageapp/consumer_list.html"
    list_display = [
        "name",
        "status",
        "last_seen",
        "endpoints",
        "networks",
        "unknown_share",
        "expires_at",
    ]
    search_fields = ["name"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Consumer]:
        """Add each consumer's last call, endpoints, networks and share of unknowns."""
        return with_figures(super().get_queryset(request))

    @admin.display(description="token")
    def status(self, consumer: Consumer) -> str:
        """Return the status of its token."""
        return status_of(consumer, consumer.name)

    @admin.display(description="last seen", ordering="last_seen")
    def last_seen(self, consumer: Any) -> datetime.datetime | None:
        """Return the time of its last call."""
        last: datetime.datetime | None = consumer.last_seen
        return last

    @admin.display(description="endpoints")
    def endpoints(self, consumer: Any) -> str:
        return ", ".join(consumer.endpoints)

    @admin.display(description="network")
    def networks(self, consumer: Any) -> str:
        """Return the network classes it calls from."""
        return ", ".join(consumer.networks)

    @admin.display(description=f"unknown, {DAYS} days")
    def unknown_share(self, consumer: Any) -> str | None:
        """Return the share of unknowns among the stages it sent."""
        sent = consumer.stages_sent
        return (
            f"{words.percent(100 * (consumer.unknown_sent or 0) / sent)} of {sent:,}"
            if sent
            else None
        )

    def page_context(self, request: HttpRequest, row: Consumer) -> dict[str, Any]:
        """Return the consumer, where it calls from, and what it still sends."""
        (caller,) = audit(names=[row.name])
        return {"title": row.name, "consumer": row, "caller": caller, "days": DAYS}

    @method_decorator(require_GET)
    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return the whole audit as CSV, including sessions and former consumers."""
        return download(request, self, "consumers", lambda file: export_audit(file, audit()))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("export/", wrap(self.export_view), name="stageapp_consumer_export"),
            path("create/", wrap(self.create_view), name="stageapp_consumer_create"),
            path(
                "<int:consumer_id>/revoke/", wrap(self.revoke_view), name="stageapp_consumer_revoke"
            ),
            *super().get_urls(),
        ]

    @method_decorator(never_cache)
    def create_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a description, then create the consumer and show its token."""
        require(request, "manage_consumers")
        form = ConsumerForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                consumer, token = tokens.create(**form.cleaned_data)
            except tokens.ConsumerError as refusal:
                form.add_error(None, str(refusal))
            else:
                self.log_addition(
                    request, consumer, f"created with scopes {', '.join(consumer.scopes)}"
                )
                return page(
                    request,
                    "consumer_token.html",
                    title="Token",
                    opts=self.opts,
                    consumer=consumer,
                    token=token,
                )
        return page(
            request, "consumer_create.html", title="Create a consumer", opts=self.opts, form=form
        )

    def revoke_view(self, request: HttpRequest, consumer_id: int) -> HttpResponse:
        """Confirm, then revoke."""
        require(request, "manage_consumers")
        consumer = self.row_or_404(request, str(consumer_id))

        def perform(consumer: Consumer, person: Person, reason: str) -> None:
            tokens.revoke(consumer)
            self.log_change(request, consumer, f"revoked: {reason}")

        revoke: Action[Consumer] = Action(
            "Revoke",
            "manage_consumers",
            perform,
            "Requests with this token are refused from now on. This cannot be undone.",
            f"The token of {consumer.name} was revoked.",
            tokens.ConsumerError,
            danger=True,
        )
        return revoke.confirm(
            request,
            consumer,
            back=reverse("admin:stageapp_consumer_changelist"),
            title=f"Revoke the token of {consumer.name}",
            opts=self.opts,
        )


# What each consumer sends, by day and endpoint, as it was counted.


@admin.register(ConsumerSighting, site=site)
class ConsumerSightingAdmin(BoundedAdmin):
    """Counts; the values behind them are in the unknown queue."""

    list_display = ["day", "consumer", "endpoint", "shown", "outcome", "count"]
    list_filter = ["outcome", "day"]
    ordering = ["-pk"]
    sortable_by = ()
    search_fields = ["consumer", "key"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Match only a whole name or key, so that an index serves any number of rows."""
        term = search_term.strip()
        if not term:
            return queryset, False
        return queryset.filter(Q(consumer=term) | Q(key__in={term, text.reduce(term).key})), False

    @admin.display(description="key")
    def shown(self, sighting: ConsumerSighting) -> str:
        """Return the key in quotes, since it may be empty."""
        return repr(sighting.key)


# Traffic windows, as they were counted.


@admin.register(TrafficWindow, site=site)
class TrafficWindowAdmin(BoundedAdmin):
    """Traffic in 10-second windows per process."""

    list_display = [
        "started_at",
        "endpoint",
        "mode",
        "verdict",
        "requests",
        "rejects",
        "errors",
        "slow",
        "process",
    ]
    list_display_links = None
    list_filter = ["verdict", "mode", "started_at"]
    ordering = ["-started_at"]
    sortable_by = ["started_at"]
