"""Error responses for the document: one per status, with every problem type it may have."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter

from stageapp.api.openapi.fields import Schema
from stageapp.api.problem_types import problem_types
from stageapp.api.problems import CONTENT_TYPE, MAX_ERRORS, TITLES

NAMES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    408: "RequestTimeout",
    409: "Conflict",
    411: "LengthRequired",
    413: "BodyTooLarge",
    414: "URITooLong",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "ServerError",
    503: "Unavailable",
}
EVERYWHERE = (400, 401, 403, 406, 429, 500, 503)
WITH_A_BODY = (408, 411, 413, 415)
RETRY_AFTER: Schema = {
    "description": "seconds to wait",
    "schema": {"type": "integer", "minimum": 0},
}
HEADERS: dict[int, dict[str, Schema]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    429: {"Retry-After": RETRY_AFTER},
    503: {"Retry-After": RETRY_AFTER},
}
PLACE: Schema = {
    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901) into the body"},
    "parameter": {"type": "string", "description": "or the query parameter"},
}
PROBLEM: Schema = {
    "description": (
        "A problem document (RFC 9457). `type` is stable and links to a page that explains it."
    ),
    "type": "object",
    "properties": {
        "type": {"type": "string", "pattern": "^/problems/[a-z-]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail"],
}
INVALID_REQUEST: Schema = {
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "type": "object",
    "properties": {
        "type": {"const": "/problems/invalid-request"},
        "errors": {
            "type": "array",
            "maxItems": MAX_ERRORS,
            "items": {
                "type": "object",
                "properties": {**PLACE, "code": {"type": "string"}, "detail": {"type": "string"}},
                "required": ["code", "detail"],
            },
        },
    },
    "required": ["errors"],
}
UNKNOWN_STAGE: Schema = {
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "type": "object",
    "properties": {
        "type": {"const": "/problems/unknown-stage"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/UnknownValue"}},
        "valid_stages": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["errors", "valid_stages"],
}
WITH_ERRORS = {"invalid-request": "InvalidRequest", "unknown-stage": "UnknownStage"}
SCHEMAS = {"Problem": PROBLEM, "InvalidRequest": INVALID_REQUEST, "UnknownStage": UNKNOWN_STAGE}


TOO_LONG: Schema = {
    "description": "The URL is longer than 8190 bytes; the web server itself refuses it, and not in "
    "JSON."
}


def reference(status: int, *, stages: bool = False) -> Schema:
    """Return a reference to a status's response; with `stages`, unknown stages may be the cause."""
    return {
        "$ref": f"#/components/responses/{NAMES[status]}{'OrUnknownStage' if stages and status == 400 else ''}"
    }


def responses(stage_headers: dict[str, Schema]) -> dict[str, Schema]:
    """Return every error response by name."""
    answers = {
        name: _response(status, exclude="unknown-stage")
        for status, name in NAMES.items()
        if status != 414
    }
    answers["URITooLong"] = TOO_LONG
    answers["BadRequestOrUnknownStage"] = {**_response(400), "headers": stage_headers}
    return answers


def _response(status: int, exclude: str = "") -> Schema:
    kinds = [
        kind for kind in problem_types().values() if kind.status == status and kind.slug != exclude
    ]
    plain = [kind for kind in kinds if kind.slug not in WITH_ERRORS]
    named = [WITH_ERRORS[it.slug] for it in kinds if it.slug in WITH_ERRORS]
    schemas: list[Schema] = [{"$ref": f"#/components/schemas/{name}"} for name in named]
    if plain:
        types = [f"/problems/{it.slug}" for it in plain]
        narrowed = {
            "type": "object",
            "properties": {"type": {"enum": types}, "status": {"const": status}},
        }
        schemas.append({"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]})
    examples = {
        it.slug: {
            "value": {
                "type": f"/problems/{it.slug}",
                "title": it.title,
                "status": it.status,
                "detail": it.meaning,
                **_MEMBERS.get(it.slug, {}),
            }
        }
        for it in kinds
    }
    content = {
        "schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas},
        "examples": examples,
    }
    response = {
        "description": "; ".join(it.title for it in kinds),
        "content": {CONTENT_TYPE: content},
    }
    return response | ({"headers": HEADERS[status]} if status in HEADERS else {})


_MEMBERS: dict[str, dict[str, Any]] = {
    "invalid-request": {
        "title": TITLES["invalid"],
        "errors": [{"pointer": "/runs", "code": "min_value", "detail": "Send 1 or more."}],
    },
    "unknown-stage": {
        "errors": [
            {
                "pointer": "/stage_distribution/0/stage",
                "value": "Seires A",
                "reason": "unmapped",
                "suggestions": ["series_a"],
            }
        ],
        "valid_stages": ["pre_seed", "seed", "series_a"],
    },
}


# The headers that the mode adds to answers, for the document.

_MODES = "(?:warn|enforce)"
_VERDICTS = "(?:canonical|normalized|unknown)"
STAGE_HEADERS: dict[str, tuple[str, Schema]] = {
    "Stage-Validation": (
        "mode, verdict and counts (RFC 9651)",
        {
            "type": "string",
            "pattern": rf"^{_MODES};verdict={_VERDICTS};unknown=[0-9]+;retired=[0-9]+$",
        },
    ),
    "X-Stage-Mode": ("the mode of this request", {"type": "string", "enum": ["warn", "enforce"]}),
    "X-Stage-Would-Reject": (
        "whether `enforce` would refuse it",
        {"type": "string", "enum": ["true", "false"]},
    ),
    "X-Stage-Unknown-Count": ("how many values are unknown", {"type": "integer", "minimum": 0}),
    "X-Stage-Warning": (
        "only if a value is not canonical",
        {
            "type": "string",
            "enum": ["unknown-stage", "retired-spelling", "unknown-stage, retired-spelling"],
        },
    ),
    "Deprecation": (
        "since when callers have been warned (RFC 9745)",
        {"type": "string", "pattern": "^@[0-9]+$"},
    ),
    "Sunset": ("the announced day, where enforce would refuse (RFC 8594)", {"type": "string"}),
    "Link": ('rel="deprecation": where to read what to send instead', {"type": "string"}),
}


def parameters(status: int) -> list[OpenApiParameter]:
    """Return the stage headers as parameters of an operation's response."""
    return [
        OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=told, response=[status])
        for name, (told, schema) in STAGE_HEADERS.items()
    ]


def as_components() -> dict[str, Schema]:
    """Return the stage headers as components of an error response."""
    return {
        name: {"description": told, "schema": schema}
        for name, (told, schema) in STAGE_HEADERS.items()
    }
