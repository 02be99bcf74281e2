"""The admin site: the dashboard on its start page, and the screens in the order of the work."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import DataError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from stageapp.admin import home

# Section → model → its name there. A model that is named nowhere stays in the section of its
# application.
SECTIONS = {
    "Rollout": {
        "ModeChange": "Mode",
        "ModeProposal": "Proposals",
        "TrafficWindow": "Traffic",
        "WebhookDelivery": "Alert deliveries",
    },
    "Vocabulary": {
        "UnknownEntry": "Unknown values",
        "Stage": "Stages",
        "StageAlias": "Aliases",
        "VocabularyVersion": "Versions",
    },
    "Normalization": {
        "Plan": "Plans",
        "PlanEntry": "Planned values",
        "Run": "Runs",
        "Batch": "Batches",
        "Checkpoint": "Checkpoints",
        "AuditEntry": "Audit log",
        "QuarantinedRow": "Quarantine",
        "DriftCheck": "Drift",
        "TargetWrite": "Writes outside runs",
    },
    "Backups": {"Backup": "Backups", "BackupCheck": "Verdicts", "BackupJob": "Jobs"},
    "Callers": {"Consumer": "Consumers", "ConsumerSighting": "Values sent"},
    "Portfolio": {
        "PortfolioCompany": "Companies",
        "Fund": "Funds",
        "Strategy": "Strategies",
        "AssumptionChange": "Assumptions",
    },
}
NAMES = {model: name for names in SECTIONS.values() for model, name in names.items()}


@dataclass(frozen=True)
class OwnPage:
    """A page that belongs to no table; a label lists it first in its section, if permitted."""

    address: str
    name: str
    view: Callable[..., HttpResponse]
    section: str = ""
    label: str = ""
    permission: str = ""

    @property
    def link(self) -> dict[str, Any]:
        """The page as an entry of Django's list of screens."""
        url = reverse(f"admin:{self.name}")
        return {
            "name": self.label,
            "object_name": self.name,
            "admin_url": url,
            "add_url": None,
            "view_only": True,
        }


class StageAdminSite(AdminSite):
    """Django's stock admin with a dashboard, named sections and our own pages."""

    site_header = "Stage normalization"
    site_title = "Stage normalization"
    index_title = "Overview"
    site_url = None
    index_template = "admin/stageapp/index.html"

    def __init__(self, name: str = "admin") -> None:
        super().__init__(name)
        self.pages: list[OwnPage] = []

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Let a view meet any address: what no column can hold is left out, with a note.

        Django refuses filters that it does not know; these reach PostgreSQL, which cannot hold NUL, or
        the calendar, which has no year -1.
        """

        @wraps(view)
        def lenient(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                answer: HttpResponse = view(request, *args, **kwargs)
                return answer
            except (DataError, OverflowError):
                pass  # answered below, as is an address that the calendar cannot read
            except ValueError as error:
                if not ("out of range" in str(error) and request.GET):
                    raise
            if request.method not in ("GET", "HEAD") or not request.GET:
                raise Http404("The address names nothing that could be there.")
            note = "The address contained a filter that no row can match; it was left out."
            messages.warning(request, note)
            return HttpResponseRedirect(request.path)

        return super().admin_view(lenient, cacheable)

    def get_urls(self) -> list[Any]:
        ours = [
            path(page.address, self.admin_view(page.view), name=page.name) for page in self.pages
        ]
        return [*ours, *super().get_urls()]

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """Show the dashboard above the screens."""
        return super().index(request, {**home.panels(request), **(extra_context or {})})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Return the screens a user may see, by section."""
        apps = super().get_app_list(request, app_label)
        if app_label:
            return apps
        apps.sort(key=lambda app: app["app_label"] != "stageapp")
        sections = [section for app in apps for section in _sections(app)]
        for page in self.pages:
            if page.label and request.user.has_perm(f"stageapp.{page.permission}"):
                section = next((one for one in sections if one["name"] == page.section), None)
                if section is None:  # the user sees none of its tables
                    section = {
                        "name": page.section,
                        "app_label": "stageapp",
                        "app_url": page.link["admin_url"],
                        "has_module_perms": True,
                        "models": [],
                    }
                    sections.insert(0, section)
                section["models"].insert(0, page.link)
        return sections


def _sections(app: Any) -> list[Any]:
    if app["app_label"] != "stageapp":
        return [app]
    models = {model["object_name"]: model for model in app["models"]}
    parts = [
        {
            **app,
            "name": title,
            "models": [{**models.pop(m), "name": name} for m, name in names.items() if m in models],
        }
        for title, names in SECTIONS.items()
    ]
    return [part for part in [*parts, {**app, "models": list(models.values())}] if part["models"]]


site = StageAdminSite()


def the_site() -> StageAdminSite:
    """Return the one site. Django asks for it again while this package is being imported."""
    return site
