"""The mode page: the mode in force, what traffic would have met in each, its history, and how to change it."""

from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_GET, require_POST

from stageapp import modes, processes, traffic
from stageapp.admin.bars import bars
from stageapp.admin.mode_forms import ModeChangeForm, ModeForm
from stageapp.admin.mode_preview import MEANINGS, preview
from stageapp.admin.screens import ReadOnlyAdmin, page, require, warn_of_lag
from stageapp.admin.site import site
from stageapp.models.modes import ModeChange
from stageapp.people import person_of
from stageapp.rollout import proposals
from stageapp.rollout.changes import Wish, change_mode
from stageapp.rollout.preview import Outcome, look_ahead, told
from stageapp.rollout.refusals import SecondPersonNeeded

PAGE = "admin:stageapp_modechange_changelist"


@admin.register(ModeChange, site=site)
class ModeChangeAdmin(ReadOnlyAdmin):
    """The history of the mode, under the mode itself."""

    change_list_template = "admin/stageapp/mode.html"
    list_display = [
        "version",
        "shown",
        "enforce_on",
        "created_at",
        "actor",
        "kind",
        "reason",
        "override_reason",
    ]
    list_display_links = None
    sortable_by = ()
    search_fields = ["actor", "reason"]
    list_per_page = 25

    @admin.display(description="mode")
    def shown(self, change: ModeChange) -> str:
        """Return the mode with the percentage that belongs to enforce."""
        return f"enforce {change.percent}\N{NO-BREAK SPACE}%" if change.mode == "enforce" else change.mode

    def get_urls(self) -> list[URLPattern]:
        """Add the preview and the change."""
        wrap = self.admin_site.admin_view
        return [
            path("preview/", wrap(self.preview_view), name="stageapp_modechange_preview"),
            path("set/", wrap(self.set_view), name="stageapp_modechange_set"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the mode page."""
        return super().changelist_view(request, {**mode_context(), "title": "Validation mode", "subtitle": None})

    @method_decorator(require_GET)
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Show what the chosen mode would change, and ask why."""
        require(request, "change_mode")
        return _preview(request, ModeForm(request.GET))

    @method_decorator(require_POST)
    def set_view(self, request: HttpRequest) -> HttpResponse:
        """Change the mode."""
        require(request, "change_mode")
        form = ModeChangeForm(request.POST, asks=("override", "break_glass"))
        if not form.is_valid():
            return _preview(request, ModeForm(request.POST), form)
        expected, wish = form.cleaned_data.pop("expected_version"), Wish(**form.cleaned_data)
        try:
            change_mode(person_of(request.user), wish, expected_version=expected)
        except SecondPersonNeeded:
            _propose(request, wish)
        except modes.VersionConflict as conflict:
            messages.error(request, f"{conflict} {_who_was_it()}")
        except modes.ModeError as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "The mode is changed. Every process follows within seconds.")
            warn_of_lag(request)
        return HttpResponseRedirect(reverse(PAGE))


def _propose(request: HttpRequest, wish: Wish) -> None:
    try:
        made = proposals.propose(person_of(request.user), wish)
    except modes.ModeError as refusal:
        messages.error(request, str(refusal))
    else:
        waits = f"proposal {made.pk} waits for somebody else."
        messages.warning(request, f"The two-person rule is on: {waits}")


def mode_context() -> dict[str, Any]:
    """Return what the mode page shows above its history."""
    arrived = traffic.summary()
    state = modes.latest()
    share = state.percent if state.percent < 100 else None
    form = ModeForm(initial={"mode": state.mode, "percent": share})
    if state.enforce_on is None:
        del form.fields["withdraw_enforce_on"]
    return {
        "state": state,
        "change": ModeChange.objects.first(),
        "meaning": MEANINGS[state.mode],
        "here": modes.current(),
        "age": modes.age_seconds(),
        "processes": processes.seen(),
        "traffic": arrived,
        "bars": bars(arrived.outcomes),
        "form": form,
    }


def _preview(request: HttpRequest, chosen: ModeForm, confirm: ModeChangeForm | None = None) -> HttpResponse:
    context: dict[str, Any] = {"form": chosen, "title": "Change the mode", "mode_page": reverse(PAGE)}
    if chosen.is_valid():
        now = modes.latest()
        try:
            then = Wish(reason="", **chosen.cleaned_data).after(now)
        except modes.ModeError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse(PAGE))
        context["preview"] = preview(now, then, traffic.summary())
        context["told"] = told(now, then)
        context["meaning"] = MEANINGS[then.mode]
        ahead = look_ahead(person_of(request.user), now, then)
        initial = {**chosen.cleaned_data, "expected_version": now.version}
        context["ahead"] = ahead
        context["confirm"] = confirm or ModeChangeForm(initial=initial, asks=_asks(ahead))
    return page(request, "mode_preview.html", **context)


def _asks(ahead: Outcome) -> list[str]:
    asked = {"override": ahead.may_override, "break_glass": ahead.may_break_glass}
    return [name for name, asks in asked.items() if asks]


def _who_was_it() -> str:
    change = ModeChange.objects.first()
    if change is None:
        return ""
    when = f"{change.created_at:%Y-%m-%d %H:%M:%S} UTC"
    return f"{change.actor} set it to {change.mode} {change.percent} % at {when}: {change.reason}"
