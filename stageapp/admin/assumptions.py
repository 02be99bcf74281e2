"""Per-stage assumptions of simulations and reserves: view, preview, and change with a reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_GET, require_POST

from stageapp.admin.actions import ReasonForm
from stageapp.admin.screens import ReadOnlyAdmin, actor, page, require
from stageapp.admin.site import site
from stageapp.admin.vocabulary_versions import curates
from stageapp.finance import assumption_store
from stageapp.finance.assumption_store import ChangedMeanwhile, Unusable
from stageapp.finance.assumptions import expected_multiple
from stageapp.finance.outcome import annual_rate
from stageapp.models.finance import AssumptionChange
from stageapp.models.vocabulary import Stage

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[AssumptionChange]
else:
    ModelForm = forms.ModelForm

PAGE = "admin:stageapp_assumptionchange_changelist"
LABELS = {
    "failure_rate": "Failure rate",
    "distribution": "Distribution of multiples",
    "alpha": "Tail exponent (alpha)",
    "minimum_multiple": "Smallest multiple",
    "maximum_multiple": "Largest multiple",
    "median_multiple": "Median multiple",
    "sigma": "Spread (sigma)",
    "holding_years": "Holding period",
    "average_check": "Average cheque",
    "follow_on_share": "Companies that get a follow-on",
    "follow_on_multiple": "Largest follow-on",
}
SUMMARY = ("failure_rate", "distribution", "holding_years", "average_check")  # of one stage
FOLLOW_ON = ("follow_on_share", "follow_on_multiple")
NUMERIC = [SUMMARY.index(name) for name in ("failure_rate", "average_check")]  # stand to the right
PERCENTAGES = {"failure_rate", "follow_on_share"}
UNITS = {
    "minimum_multiple": "×",
    "maximum_multiple": "×",
    "median_multiple": "×",
    "holding_years": "years",
    "follow_on_multiple": "× the first check",
}


class AssumptionForm(ModelForm):
    """Asks for a stage's assumptions; sent by GET, changes nothing."""

    stage = forms.SlugField(widget=forms.HiddenInput)

    class Meta:
        model = AssumptionChange
        fields = ["stage", *AssumptionChange.FIGURES]
        labels = LABELS

    def clean(self) -> dict[str, Any]:
        """Refuse figures that no simulation or allocation could use."""
        values = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                assumption_store.simulated(values["stage"], values)
                assumption_store.rule(values["stage"], values)
            except Unusable as error:
                raise forms.ValidationError(str(error)) from None
        return values

    @property
    def figures(self) -> dict[str, Any]:
        """The assumptions by name."""
        return {name: self.cleaned_data[name] for name in AssumptionChange.FIGURES}


class ConfirmForm(AssumptionForm):
    """Confirms the figures; sent by POST with the version the user saw."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    reason = ReasonForm.base_fields["reason"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in AssumptionChange.FIGURES:
            self.fields[name].widget = forms.HiddenInput()


@dataclass(frozen=True)
class Line:
    """One figure in words: current and proposed."""

    label: str
    now: str
    then: str

    @property
    def changes(self) -> bool:
        return self.now != self.then


@admin.register(AssumptionChange, site=site)
class AssumptionChangeAdmin(ReadOnlyAdmin):
    """The history of assumptions, below the current ones."""

    change_list_template = "admin/stageapp/assumption_list.html"
    list_display = ["stage", "created_at", "actor", "what_changed", "reason"]
    list_display_links = None
    list_filter = ["stage"]
    search_fields = ["actor", "reason"]
    sortable_by = ()
    list_per_page = 25

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return curates(request) or super().has_view_permission(request, obj)

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "stageapp_assumptionchange_{}".format
        return [
            path("preview/", wrap(self.preview_view), name=name("preview")),
            path("set/", wrap(self.set_view), name=name("set")),
            *super().get_urls(),
        ]

    def changelist_view(
        self,
        request: HttpRequest,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show the assumptions of every stage above the history."""
        # Every stage with what is assumed of it, in rank order.
        known = {change.stage: change for change in assumption_store.in_force()}
        stages = []
        for stage in Stage.objects.all():
            change = known.get(stage.slug)
            figures = []
            if change is not None:
                share, most = (in_words(name, change.figures[name]) for name in FOLLOW_ON)
                figures = [
                    *(in_words(name, change.figures[name]) for name in SUMMARY),
                    f"{share}, up to {most}",
                    expected(stage.slug, change.figures),
                ]
            stages.append({"stage": stage, "change": change, "figures": figures})
        context = {
            "stages": stages,
            "numeric": NUMERIC,
            "curates": curates(request),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    @admin.display(description="what changed")
    def what_changed(self, change: AssumptionChange) -> SafeString | str:
        """Return each figure that differs from the previous version."""
        earlier = AssumptionChange.objects.filter(stage=change.stage, version=change.version - 1)
        before = earlier.first()
        if before is None:
            return "first recorded"
        changed = [line for line in lines(before.figures, change.figures) if line.changes]
        told = ((line.label, line.now, line.then) for line in changed)
        return format_html_join(", ", "{}: {} → {}", told)

    @method_decorator(require_GET)
    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the figures; once given, show what they would change and ask for a reason."""
        require(request, "curate_vocabulary")
        stage = _stage_named(request.GET.get("stage", ""))
        if stage is None:
            messages.error(request, "Choose one of the stages below.")
            return HttpResponseRedirect(reverse(PAGE))
        if "distribution" in request.GET:
            return _preview(request, stage, AssumptionForm(request.GET))
        now = assumption_store.newest(stage.slug)
        figures = {name: plain(figure) for name, figure in now.figures.items()} if now else {}
        return _ask(request, stage, AssumptionForm(initial={"stage": stage.slug, **figures}))

    @method_decorator(require_POST)
    def set_view(self, request: HttpRequest) -> HttpResponse:
        require(request, "curate_vocabulary")
        stage, form = _stage_named(request.POST.get("stage", "")), ConfirmForm(request.POST)
        if stage is None:
            messages.error(request, "This stage no longer exists. Choose one of the stages below.")
        elif not form.is_valid():
            return _preview(request, stage, AssumptionForm(request.POST), form)
        else:
            answers = form.cleaned_data
            try:
                made = assumption_store.change(
                    stage.slug,
                    form.figures,
                    expected_version=answers["expected_version"],
                    actor=actor(request),
                    reason=answers["reason"],
                )
            except ChangedMeanwhile as conflict:
                messages.error(request, str(conflict))
            else:
                done = "The assumptions were changed. All processes follow within seconds."
                messages.success(
                    request, done if made else "Nothing is different, so nothing was changed."
                )
        return HttpResponseRedirect(reverse(PAGE))


def _ask(request: HttpRequest, stage: Stage, form: AssumptionForm) -> HttpResponse:
    context = {
        "title": f"Assumptions for {stage.label}",
        "opts": AssumptionChange._meta,
        "form": form,
        "back": reverse(PAGE),
    }
    return page(request, "assumption_preview.html", **context)


def _preview(
    request: HttpRequest,
    stage: Stage,
    chosen: AssumptionForm,
    confirm: ConfirmForm | None = None,
) -> HttpResponse:
    if not chosen.is_valid():
        return _ask(request, stage, chosen)
    now = assumption_store.newest(stage.slug)
    initial = {"stage": stage.slug, "expected_version": now.version if now else 0, **chosen.figures}
    context = {
        "title": f"Change the assumptions for {stage.label}",
        "opts": AssumptionChange._meta,
        "lines": lines(now.figures if now else {}, chosen.figures),
        "confirm": confirm or ConfirmForm(initial=initial),
        "back": reverse(PAGE),
    }
    return page(request, "assumption_preview.html", **context)


def _stage_named(slug: str) -> Stage | None:
    return Stage.objects.filter(slug=slug[:40]).first() if "\0" not in slug else None


def lines(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[Line]:
    """Return every figure in words, then the outcome they imply together."""
    old, new = ({name: in_words(name, of.get(name)) for name in LABELS} for of in (now, then))
    changes = [Line(label, old[name], new[name]) for name, label in LABELS.items()]
    outcome = Line("Expected return of one company", expected("", now), expected("", then))
    return [*changes, outcome]


def expected(stage: str, figures: Mapping[str, Any]) -> str:
    """Return one company's expected multiple and the annual rate it implies, in words."""
    if not figures:
        return "–"
    try:
        assumed = assumption_store.simulated(stage, figures)
    except Unusable as error:
        return f"not usable: {error}"
    multiple = expected_multiple(assumed)
    return f"{multiple:.2f} ×, {annual_rate(multiple, assumed.holding_years) * 100:.1f} % a year"


def in_words(name: str, figure: Any) -> str:
    """Return one figure with its unit."""
    if figure is None:
        return "–"
    if name == "distribution":
        return dict(AssumptionChange.DISTRIBUTIONS).get(figure, str(figure))
    if name == "average_check":
        return f"{figure:,.2f}"
    if name in PERCENTAGES:
        return f"{plain(figure * 100)} %"
    return f"{plain(figure)} {UNITS[name]}" if name in UNITS else str(plain(figure))


def plain(figure: Any) -> Any:
    """Return a decimal without the trailing zeros of its column."""
    return f"{figure.normalize():f}" if isinstance(figure, Decimal) else figure
