"""Every operation of the API in one table, and its OpenAPI from there and from its endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import getdoc
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse
from rest_framework.serializers import BaseSerializer

from stageapp.api.allocations import AllocationRequest, Allocations
from stageapp.api.auto_downgrade import AutoDowngrade
from stageapp.api.companies import Companies
from stageapp.api.deprecations import Deprecations
from stageapp.api.endpoint import Endpoint
from stageapp.api.mode import Mode, ModeRequest
from stageapp.api.monte_carlo import Simulate, SimulationRequest
from stageapp.api.openapi import answers, problems
from stageapp.api.openapi.fields import Schema
from stageapp.api.runs import OneRun, RowHistory, RunEntries, Runs
from stageapp.api.stages import Normalize, NormalizeRequest, Stages
from stageapp.api.strategies import OneStrategy, Strategies, StrategyRequest
from stageapp.documents import runs
from stageapp.documents.mode import ModeInForce

Kind = type[BaseSerializer[Any]]


@dataclass(frozen=True)
class Operation:
    """One method of one endpoint. `refusals` are statuses beyond those of every operation."""

    name: str
    group: str
    answer: Kind | None
    body: Kind | None = None
    status: int = 200
    refusals: tuple[int, ...] = ()
    examples: Mapping[str, Any] = field(default_factory=dict)


def both_shapes(field_name: str, /, **more: Any) -> dict[str, Any]:
    """Return an example body for each shape of a distribution."""
    entries = {"Seed": 40, "Series A": 60}
    return {
        "list": {
            field_name: [{"stage": stage, "weight": weight} for stage, weight in entries.items()],
            **more,
        },
        "object": {field_name: entries, **more},
    }


_SIMULATION = both_shapes("stage_distribution", fund_size="50000000.00", runs=1000, seed=7)
_ALLOCATION = both_shapes("stage_distribution", fund_size="2500000.00", reserve_ratio=0.4)
_STRATEGY = both_shapes("stage_allocation", name="Early")
_ONE: dict[str, Any] = {"group": "strategies", "refusals": (404,)}

OPERATIONS: dict[tuple[type[Endpoint], str], Operation] = {
    (Simulate, "POST"): Operation(
        "simulate",
        "funds",
        answers.Simulation,
        SimulationRequest,
        refusals=(409,),
        examples=_SIMULATION,
    ),
    (Allocations, "POST"): Operation(
        "allocate",
        "funds",
        answers.Allocation,
        AllocationRequest,
        refusals=(409,),
        examples=_ALLOCATION,
    ),
    (Companies, "GET"): Operation("list_companies", "funds", answers.CompanyPage, refusals=(404,)),
    (Strategies, "GET"): Operation(
        "list_strategies", "strategies", answers.StrategyPage, refusals=(404,)
    ),
    (Strategies, "POST"): Operation(
        "save_strategy",
        "strategies",
        answers.SavedStrategy,
        StrategyRequest,
        201,
        examples=_STRATEGY,
    ),
    (OneStrategy, "GET"): Operation("get_strategy", answer=answers.SavedStrategy, **_ONE),
    (OneStrategy, "PUT"): Operation(
        "replace_strategy",
        answer=answers.SavedStrategy,
        body=StrategyRequest,
        examples=_STRATEGY,
        **_ONE,
    ),
    (OneStrategy, "PATCH"): Operation(
        "change_strategy",
        answer=answers.SavedStrategy,
        body=StrategyRequest,
        examples=_STRATEGY,
        **_ONE,
    ),
    (OneStrategy, "DELETE"): Operation("delete_strategy", answer=None, status=204, **_ONE),
    (Stages, "GET"): Operation("list_stages", "stages", answers.StageList),
    (Normalize, "POST"): Operation(
        "normalize",
        "stages",
        answers.NormalizedValues,
        NormalizeRequest,
        examples={"values": {"values": ["Series-A ", "Venture Debt"]}},
    ),
    (Deprecations, "GET"): Operation("list_deprecations", "stages", answers.DeprecationNotice),
    (Runs, "GET"): Operation("list_runs", "operations", runs.RunPage),
    (OneRun, "GET"): Operation("get_run", "operations", runs.RunInFull, refusals=(404,)),
    (RunEntries, "GET"): Operation(
        "list_run_entries", "operations", runs.EntryPage, refusals=(404,)
    ),
    (RowHistory, "GET"): Operation(
        "get_row_history", "operations", runs.EntryPage, refusals=(404,)
    ),
    (Mode, "GET"): Operation("get_mode", "operations", ModeInForce),
    (Mode, "PUT"): Operation(
        "change_mode",
        "operations",
        ModeInForce,
        ModeRequest,
        refusals=(409,),
        examples={
            "lower": {"mode": "warn", "reason": "callers report refusals", "expected_version": 3}
        },
    ),
    (AutoDowngrade, "POST"): Operation(
        "auto_downgrade",
        "operations",
        answers.DeliveryOutcome,
        answers.AlertNotification,
        examples={"firing": answers.NOTIFICATION_EXAMPLE},
    ),
}


class EndpointSchema(AutoSchema):
    """Builds one operation."""

    view: Any  # an Endpoint; the library knows only of views

    @property
    def operation(self) -> Operation:
        """The operation's table entry; KeyError names a missing endpoint."""
        return OPERATIONS[type(self.view), self.method]

    @property
    def takes_stages(self) -> bool:
        """Whether the method's body or parameters hold stages."""
        return self.method in self.view.stage_methods

    def get_operation_id(self) -> str:
        return self.operation.name

    def get_tags(self) -> list[str]:
        return [self.operation.group]

    def get_description(self) -> str:  # type: ignore[override]  # as the library does it
        """Return the method's own description and the scope it needs."""
        scope, told = self.view.scopes[self.method], super().get_description()
        return f"{told}\n\nNeeds the scope `{scope}`." if scope else told

    def get_auth(self) -> list[Any]:
        """Return the security schemes; every operation in the table requires one."""
        if self.view.credentials:
            return list(self.view.credentials)
        return [auth for auth in super().get_auth() if auth]

    def get_request_serializer(self) -> Any:
        return self.operation.body

    def get_response_serializers(self) -> Any:
        answer = self.operation.answer
        told = getdoc(answer) if answer else "Done; the response has no content."
        return {self.operation.status: OpenApiResponse(answer, str(told))}

    def get_override_parameters(self) -> list[Any]:
        """Return the query string and the response problems."""
        query = self.view.queries.get(self.method)
        return ([query] if query else []) + (
            problems.parameters(self.operation.status) if self.takes_stages else []
        )

    def get_examples(self) -> list[OpenApiExample]:
        """Return body examples, one per shape."""
        return [
            OpenApiExample(name, value=value, request_only=True)
            for name, value in self.operation.examples.items()
        ]

    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        statuses = {*problems.EVERYWHERE, *self.operation.refusals}
        if self.method in self.view.queries:
            statuses.add(414)
        if self.operation.body:
            statuses.update(problems.WITH_A_BODY)
        refusals = {
            str(code): problems.reference(code, stages=self.takes_stages)
            for code in sorted(statuses)
        }
        return {**super()._get_response_bodies(direction), **refusals}
