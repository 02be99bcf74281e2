"""The structured log: a closed set of events, each named like its function."""

import inspect

import pytest
from structlog.testing import capture_logs

from stageapp.infrastructure import events

EVENTS = [
    function
    for name, function in inspect.getmembers(events, inspect.isfunction)
    if function.__module__ == events.__name__ and not name.startswith("_")
]


def sample(kind):
    return {"int": 7, "float": 0.5, "bool": True}.get(
        getattr(kind, "__name__", str(kind)), "a text"
    )


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_is_one_line_with_its_name_and_all_its_fields(event):
    parameters = inspect.signature(event).parameters.values()
    fields = {parameter.name: sample(parameter.annotation) for parameter in parameters}
    with capture_logs() as lines:
        event(**fields)
    [line] = lines
    assert line.pop("event") == event.__name__
    assert line.pop("log_level") in {"info", "warning", "error"}
    assert line | fields == line  # it may say more, such as what to do


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.__name__)
def test_an_event_names_its_fields(event):
    assert all(p.kind is p.KEYWORD_ONLY for p in inspect.signature(event).parameters.values())
