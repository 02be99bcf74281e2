"""Paths of an access log and the resources that answer there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.api.resources import resource_of


@pytest.mark.parametrize(
    "path, resource",
    [
        ("/api/monte-carlo/simulate", "monte_carlo"),
        ("/api/portfolio/strategies", "strategies"),
        ("/api/portfolio/strategies/12", "strategies"),
        ("/api/funds/1/companies", "companies"),
        ("/api/allocations", "allocations"),
        ("/api/stages", "stages"),
        ("/api/stages/normalize", "normalize"),
        ("/api/deprecations", "deprecations"),
        ("/_ops/stage-validation/mode", "mode"),
        ("/api/funds/x/companies", "no_such_resource"),
        (f"/api/funds/{'9' * 5000}/companies", "no_such_resource"),
        ("/healthz", None),
        ("/admin/", None),
        ("api/stages", None),
        ("*", None),
        ("", None),
    ],
)
def test_a_path_of_the_api_has_the_name_its_callers_are_noted_under(path, resource):
    assert resource_of(path) == resource


@given(st.text())
def test_any_path_can_be_asked(path):
    assert resource_of(path) is None or path.startswith("/")
    resource_of(f"/api/{path}")
