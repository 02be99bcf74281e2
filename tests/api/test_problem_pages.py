"""What the `type` of a problem document leads to."""

import ast
import re
from pathlib import Path

import pytest
from rest_framework import exceptions

from stageapp.api.problem_types import FRAMEWORK, MEANINGS, problem_types

API = Path(__file__).resolve().parents[2] / "stageapp" / "api"


def codes_in_the_code():
    """Return every default_code and every code given to `document()`, as the sources write them."""
    found = set()
    for path in API.rglob("*.py"):
        text = path.read_text()
        found.update(re.findall(r'default_code, title = \d+, "(\w+)"', text))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "document" and node.args:
                first = node.args[0]
                found.update({first.value} if isinstance(first, ast.Constant) else set())
    return {code.replace("_", "-") for code in found}


def test_every_type_the_code_can_send_has_a_meaning_and_no_other():
    assert set(problem_types()) == set(MEANINGS)
    assert codes_in_the_code() <= set(MEANINGS)
    assert "unknown-stage" in codes_in_the_code()


def test_every_exception_of_the_framework_is_among_them():
    kinds = {
        kind
        for kind in vars(exceptions).values()
        if isinstance(kind, type) and issubclass(kind, exceptions.APIException)
    } - {exceptions.APIException, exceptions.ValidationError}
    assert kinds == set(FRAMEWORK)


@pytest.mark.parametrize("slug", sorted(MEANINGS))
def test_each_type_leads_to_a_page(slug, client):
    response = client.get(f"/problems/{slug}")
    assert response.status_code == 200
    text = response.content.decode()
    kind = problem_types()[slug]
    assert f"<h1>{kind.title.replace(chr(39), '&#x27;')}</h1>" in text
    assert str(kind.status) in text


def test_the_list_leads_to_all_of_them(client):
    text = client.get("/problems/").content.decode()
    assert set(re.findall(r'href="/problems/([a-z-]+)"', text)) == set(MEANINGS)


def test_a_type_that_does_not_exist_is_404(client):
    assert client.get("/problems/nothing").status_code == 404
    assert client.post("/problems/throttled").status_code == 405


def test_an_answer_leads_to_its_page(client, db):
    kind = client.get("/api/stages").json()["type"]
    assert client.get(kind).status_code == 200
