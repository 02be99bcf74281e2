"""The OpenAPI document: valid, complete, and the same wherever it is found."""

import re
from pathlib import Path

import pytest
import yaml
from django.core.management import call_command
from django.urls import get_resolver

from stageapp.api.endpoint import Endpoint
from stageapp.api.openapi.document import SchemaPage, document
from stageapp.api.problem_types import problem_types

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "api" / "openapi.yaml"


def endpoints():
    """Return (path, method) of every endpoint that is routed."""
    found = set()
    for pattern in get_resolver("stageapp.api.urls").url_patterns:
        kind = getattr(pattern.callback, "view_class", None)
        if kind is not None and issubclass(kind, Endpoint) and kind is not SchemaPage:
            path = "/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern)).replace(
                "{pk}", "{id}"
            )
            found.update((path, method.lower()) for method in kind.scopes)
    return found


def test_it_is_valid_and_generated_without_a_warning(tmp_path):
    call_command(
        "spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "openapi.yaml")
    )


def test_the_committed_file_is_what_the_code_says(tmp_path):
    made = tmp_path / "openapi.yaml"
    call_command("spectacular", file=str(made))
    assert COMMITTED.read_text() == made.read_text(), (
        "Write it again: python manage.py spectacular --validate --fail-on-warn --file "
        "docs/api/openapi.yaml"
    )


def test_the_served_document_is_the_committed_one_and_asks_for_no_credentials(client):
    response = client.get("/api/schema/")
    assert response.status_code == 200
    assert response.json() == yaml.safe_load(COMMITTED.read_text())


def test_every_endpoint_is_in_it_with_every_method_and_nothing_else_but_the_probes():
    described = {(path, method) for path, item in document()["paths"].items() for method in item}
    assert described - {("/healthz", "get"), ("/readyz", "get")} == endpoints()


def test_its_version_is_the_projects():
    declared = re.search(
        r'^version = "(.+)"$', (COMMITTED.parents[2] / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert document()["info"]["version"] == declared[1]


def test_operations_have_names_of_their_own():
    names = [
        operation["operationId"]
        for item in document()["paths"].values()
        for operation in item.values()
    ]
    assert len(names) == len(set(names))


def test_every_type_of_problem_is_told_at_its_status():
    told = {
        (example["value"]["type"], example["value"]["status"])
        for response in document()["components"]["responses"].values()
        for content in response.get("content", {}).values()
        for example in content["examples"].values()
    }
    assert told == {(f"/problems/{it.slug}", it.status) for it in problem_types().values()}


@pytest.mark.parametrize(
    "path", ["/api/monte-carlo/simulate", "/api/allocations", "/api/portfolio/strategies"]
)
def test_both_shapes_are_shown_as_examples_that_are_accepted(path, client_of, consumer, in_mode):
    in_mode("enforce")
    examples = document()["paths"][path]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ]
    assert {"List", "Object"} == set(examples)
    for example in examples.values():
        response = client_of(consumer).post(path, example["value"], content_type="application/json")
        assert response.status_code in (200, 201)


def test_the_probes_answer_as_told(client, db):
    for path in ("/healthz", "/readyz"):
        assert str(client.get(path).status_code) in document()["paths"][path]["get"]["responses"]
