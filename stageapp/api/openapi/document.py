"""Make the document: the operations, the responses they share, and the probes that are no endpoints of the API."""

from functools import cache
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from stageapp.api.openapi import fields as fields  # registers how fields look
from stageapp.api.openapi import headers, problems, webhook
from stageapp.api.openapi.fields import Schema

STATUS: Schema = {"type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"]}


@cache
def document() -> dict[str, Any]:
    """Return the document of this version of the code; made once in a process."""
    generator: Any = SchemaGenerator()
    made: dict[str, Any] = generator.get_schema(request=None, public=True)
    return made


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add what operations refer to, and the probes; a hook of drf-spectacular."""
    components = result["components"]
    components["schemas"].update(problems.SCHEMAS)
    components["securitySchemes"].update(webhook.SCHEMES)
    components["responses"] = problems.responses(headers.as_components())
    result["paths"]["/healthz"] = {"get": _probe("healthz", "This process answers.", {"200": "it does"})}
    answers = {"200": "database and migrations are there", "503": "they are not"}
    result["paths"]["/readyz"] = {"get": _probe("readyz", "This process can do its work.", answers)}
    return result


def _probe(name: str, told: str, answers: dict[str, str]) -> Schema:
    responses = {
        status: {"description": why, "content": {"application/json": {"schema": STATUS}}}
        for status, why in answers.items()
    }
    return {"operationId": name, "description": told, "tags": ["operations"], "security": [], "responses": responses}
