"""Build each OpenAPI operation from its table entry and from what its endpoint declares."""

from inspect import getdoc
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from stageapp.api.openapi import problems
from stageapp.api.openapi.fields import Schema
from stageapp.api.openapi.table import OPERATIONS, Operation


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
