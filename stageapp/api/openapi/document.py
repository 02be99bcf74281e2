"""Build the document: operations, shared responses, and the probes, which are not endpoints."""

from functools import cache
from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.endpoint import Endpoint
from stageapp.api.openapi import problems as headers
from stageapp.api.openapi import (
    webhook,
)
from stageapp.api.openapi.fields import Schema

STATUS: Schema = {
    "type": "object",
    "properties": {"status": {"type": "string"}},
    "required": ["status"],
}


@cache
def document() -> dict[str, Any]:
    """Return the document of this code version; built once per process."""
    generator: Any = SchemaGenerator()
    made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the components that operations refer to, and the probes; a hook of drf-spectacular."""
    components = result["components"]
    components["schemas"].update(headers.SCHEMAS)
    components["securitySchemes"].update(webhook.SCHEMES)
    components["responses"] = headers.responses(headers.as_components())
    result["paths"]["/healthz"] = {
        "get": _probe("healthz", "This process answers.", {"200": "it does"})
    }
    answers = {
        "200": "the database answers and all migrations are applied",
        "503": "the database does not answer or migrations are missing",
    }
    result["paths"]["/readyz"] = {"get": _probe("readyz", "This process can do its work.", answers)}
    return result


def _probe(name: str, told: str, answers: dict[str, str]) -> Schema:
    responses = {
        status: {"description": why, "content": {"application/json": {"schema": STATUS}}}
        for status, why in answers.items()
    }
    return {
        "operationId": name,
        "description": told,
        "tags": ["operations"],
        "security": [],
        "responses": responses,
    }


# GET /api/schema/ and /api/docs/: the document, and a page to read and try it. Neither asks for
# credentials.


class SchemaPage(Endpoint):
    """The OpenAPI document."""

    schema = None  # it does not describe itself
    authentication_classes: list[Any] = []
    permission_classes: list[type[BasePermission]] = []

    def get(self, request: Request) -> Response:
        """Return the document as JSON."""
        return Response(document())


@require_safe
@csp_update({"img-src": [SELF, "data:"]})  # the icons of Swagger UI's own style sheet
def docs(request: HttpRequest) -> HttpResponse:
    """Show the document with Swagger UI, served from our own server."""
    return render(request, "api/docs.html")
