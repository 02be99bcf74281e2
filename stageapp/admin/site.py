"""The admin site: the dashboard on its first page, and the screens in the order of the work."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse

from stageapp.admin import dashboard

# Section → model → its name there. A model that is named nowhere stays in the section of its application.
SECTIONS = {
    "Rollout": {"ModeChange": "Mode", "ModeProposal": "Proposals", "TrafficWindow": "Traffic"},
    "Vocabulary": {
        "UnknownEntry": "Unknown values", "Stage": "Stages", "StageAlias": "Aliases", "VocabularyVersion": "Versions",
    },
    "Normalization": {
        "Plan": "Plans", "PlanEntry": "Planned values", "Run": "Runs", "Batch": "Batches",
        "Checkpoint": "Checkpoints", "NormalizationLog": "Audit log", "DriftCheck": "Drift",
    },
    "Callers": {"Consumer": "Consumers", "ConsumerSighting": "What they send"},
    "Portfolio": {"PortfolioCompany": "Companies", "Fund": "Funds", "Strategy": "Strategies"},
}  # fmt: skip
NAMES = {model: name for names in SECTIONS.values() for model, name in names.items()}


class StageAdminSite(AdminSite):
    """Stock Django admin with a dashboard and named sections."""

    site_header = "Stage normalization"
    site_title = "Stage normalization"
    index_title = "Overview"
    site_url = None
    index_template = "admin/stageapp/index.html"

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """Show the dashboard above the screens."""
        return super().index(request, {**dashboard.panels(request), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the screens a user may see, by section."""
        apps = super().get_app_list(request, app_label)
        if app_label:
            return apps
        apps.sort(key=lambda app: app["app_label"] != "stageapp")
        return [section for app in apps for section in _sections(app)]


def _sections(app: Any) -> list[Any]:
    if app["app_label"] != "stageapp":
        return [app]
    models = {model["object_name"]: model for model in app["models"]}
    parts = [
        {**app, "name": title, "models": [{**models.pop(m), "name": name} for m, name in names.items() if m in models]}
        for title, names in SECTIONS.items()
    ]
    return [part for part in [*parts, {**app, "models": list(models.values())}] if part["models"]]


site = StageAdminSite()


def the_site() -> StageAdminSite:
    """Return the one site. Django asks for it a second time while this package is being imported."""
    return site
