"""The two-person rule: proposals to enforce, and their approval by somebody else."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse

from stageapp.admin.confirm import confirmed
from stageapp.admin.screens import PageAdmin, require
from stageapp.admin.site import site
from stageapp.models.rollout import ModeProposal
from stageapp.modes import ModeError
from stageapp.people import person_of
from stageapp.rollout import proposals

PAGE = "admin:stageapp_modeproposal_changelist"


@admin.register(ModeProposal, site=site)
class ModeProposalAdmin(PageAdmin):
    """Who proposed to enforce for whom, and what came of it."""

    list_display = ["id", "percent", "actor", "reason", "override_reason", "stands", "approved_by", "created_at"]
    list_filter = ["status"]
    sortable_by = ()
    list_per_page = 25
    page_template = "proposal.html"

    @admin.display(description="status", ordering="status")
    def stands(self, proposal: ModeProposal) -> str:
        """Return where it stands; one that the mode has overtaken waits for nobody."""
        return proposals.status_in_words(proposal)

    def get_urls(self) -> list[URLPattern]:
        """Add approve and withdraw."""
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/approve/", wrap(self.approve_view), name="stageapp_modeproposal_approve"),
            path("<int:pk>/withdraw/", wrap(self.withdraw_view), name="stageapp_modeproposal_withdraw"),
            *super().get_urls(),
        ]

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the proposal, where it stands, what it would tell callers, and what holds this user back."""
        stands = proposals.status_in_words(row)
        context: dict[str, Any] = {"proposal": row, "stands": stands, "title": f"Proposal {row.pk}"}
        if row.status != "open":
            return context
        hindrance = proposals.hindrance(row, person_of(request.user))
        return {**context, "hindrance": hindrance, "told": proposals.would_tell(row)}

    def approve_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Approve it, which changes the mode."""
        require(request, "change_mode")
        proposal = self.found(request, str(pk))
        return confirmed(
            request,
            lambda reason: proposals.approve(proposal, person_of(request.user), reason),
            refusals=ModeError,
            back=reverse(PAGE),
            done="Approved. The mode is changed; every process follows within seconds.",
            followed=True,
            title=f"Approve: enforce {proposal.percent} %",
            explanation=f"{proposal.actor} proposed it: {proposal.reason}. Approving it changes the mode at once.",
            verb="Approve",
        )

    def withdraw_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Withdraw it."""
        require(request, "change_mode")
        proposal = self.found(request, str(pk))
        return confirmed(
            request,
            lambda reason: proposals.withdraw(proposal, person_of(request.user), reason),
            refusals=ModeError,
            back=reverse(PAGE),
            done="Withdrawn.",
            title=f"Withdraw: enforce {proposal.percent} %",
            explanation="The proposal ends, and nothing changes.",
            verb="Withdraw",
        )
