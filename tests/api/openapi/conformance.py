"""Check an answer against the document, as a client that was generated from it would."""

import jsonschema

from stageapp.api.openapi.document import document


def resolved(part):
    """Follow a reference inside the document."""
    while "$ref" in part:
        found = document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def schema_of(part):
    """Return a schema that can be used on its own."""
    return {**part, "components": document()["components"]}


def check(response, path, method):
    """Fail unless status, content type, headers and body are what the document tells."""
    told = resolved(document()["paths"][path][method]["responses"][str(response.status_code)])
    for name, header in told.get("headers", {}).items():
        if name in response:
            value = response[name]
            value = int(value) if header["schema"]["type"] == "integer" else value
            jsonschema.validate(value, header["schema"])
    if "content" not in told:
        assert response.content == b""
        return
    content = told["content"][response["Content-Type"]]
    jsonschema.validate(response.json(), schema_of(content["schema"]))
