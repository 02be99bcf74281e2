"""The URLs of the API."""

from django.urls import path, re_path

from stageapp.api.allocations import Allocations
from stageapp.api.auto_downgrade import AutoDowngrade
from stageapp.api.companies import Companies
from stageapp.api.deprecations import Deprecations
from stageapp.api.fallbacks import no_such_resource
from stageapp.api.health import healthz, readyz
from stageapp.api.metrics import metrics_page
from stageapp.api.mode import Mode
from stageapp.api.monte_carlo import Simulate
from stageapp.api.openapi.document import SchemaPage, docs
from stageapp.api.problem_types import problem_index, problem_page
from stageapp.api.runs import OneRun, RowHistory, RunEntries, Runs
from stageapp.api.stages import Normalize, Stages
from stageapp.api.strategies import OneStrategy, Strategies

urlpatterns = [
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics_page),
    path("api/monte-carlo/simulate", Simulate.as_view()),
    path("api/portfolio/strategies", Strategies.as_view()),
    path("api/portfolio/strategies/<int:pk>", OneStrategy.as_view()),
    path("api/funds/<int:pk>/companies", Companies.as_view()),
    path("api/allocations", Allocations.as_view()),
    path("api/stages", Stages.as_view()),
    path("api/stages/normalize", Normalize.as_view()),
    path("api/deprecations", Deprecations.as_view()),
    path("api/runs", Runs.as_view()),
    path("api/runs/<int:pk>", OneRun.as_view()),
    path("api/runs/<int:pk>/entries", RunEntries.as_view()),
    path("api/rows/<str:target>/<str:key>/history", RowHistory.as_view()),
    path("api/schema/", SchemaPage.as_view(), name="schema"),
    path("api/docs/", docs, name="docs"),
    path("problems/", problem_index, name="problems"),
    path("problems/<slug:slug>", problem_page, name="problem"),
    path("_ops/stage-validation/mode", Mode.as_view()),
    path("_ops/stage-validation/auto-downgrade", AutoDowngrade.as_view()),
    re_path(r"^(?:api|_ops)/", no_such_resource),
]
