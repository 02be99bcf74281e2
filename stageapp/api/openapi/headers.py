"""The headers that the mode adds to answers, for the document."""

from drf_spectacular.utils import OpenApiParameter

from stageapp.api.openapi.fields import Schema

_MODES = "(?:warn|enforce)"
_VERDICTS = "(?:canonical|normalized|unknown)"
STAGE_HEADERS: dict[str, tuple[str, Schema]] = {
    "Stage-Validation": (
        "mode, verdict and counts (RFC 9651)",
        {"type": "string", "pattern": rf"^{_MODES};verdict={_VERDICTS};unknown=[0-9]+;retired=[0-9]+$"},
    ),
    "X-Stage-Mode": ("the mode of this request", {"type": "string", "enum": ["warn", "enforce"]}),
    "X-Stage-Would-Reject": ("whether `enforce` would refuse it", {"type": "string", "enum": ["true", "false"]}),
    "X-Stage-Unknown-Count": ("how many values are unknown", {"type": "integer", "minimum": 0}),
    "X-Stage-Warning": (
        "only where something is not canonical",
        {"type": "string", "enum": ["unknown-stage", "retired-spelling", "unknown-stage, retired-spelling"]},
    ),
    "Deprecation": ("since when callers are warned (RFC 9745)", {"type": "string", "pattern": "^@[0-9]+$"}),
    "Sunset": ("the announced day, where enforce would refuse (RFC 8594)", {"type": "string"}),
    "Link": ('rel="deprecation": where to read what to send instead', {"type": "string"}),
}


def parameters(status: int) -> list[OpenApiParameter]:
    """Return the headers as they stand with an operation's answer."""
    return [
        OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=told, response=[status])
        for name, (told, schema) in STAGE_HEADERS.items()
    ]


def as_components() -> dict[str, Schema]:
    """Return the headers as they stand with a refusal."""
    return {name: {"description": told, "schema": schema} for name, (told, schema) in STAGE_HEADERS.items()}
