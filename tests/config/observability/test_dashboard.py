"""The dashboard: every panel asks for series that exist, by the data source that the viewer
picks, in a unit.
"""

import itertools
import json
import re

import pytest
import yaml

from stageapp.infrastructure import metrics
from tests.config.observability.programs import SHIPPED, run
from tests.config.observability.test_rules import alerts, metrics_in, rules

BOARD = json.loads((SHIPPED / "dashboards" / "stage.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]]
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def test_it_has_a_name_of_its_own_and_the_viewer_picks_the_data_source():
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", BOARD["uid"])
    assert BOARD["title"]
    [variable] = BOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == (
        "datasource",
        "datasource",
        "prometheus",
    )


def test_it_shows_the_rollout_the_service_levels_and_the_run():
    assert [panel["title"] for panel in BOARD["panels"] if panel["type"] == "row"] == [
        "Rollout",
        "Service levels",
        "Run",
    ]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows_in_which_unit_and_from_where(panel):
    assert panel["type"] in ("stat", "timeseries")
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [
        SOURCE
    ] * (1 + len(panel["targets"]))
    assert all(target["legendFormat"] and target["refId"] for target in panel["targets"])


def test_no_two_panels_have_one_title_one_number_or_one_place():
    for values in ([p["title"] for p in BOARD["panels"]], [p["id"] for p in BOARD["panels"]]):
        assert len(set(values)) == len(values)
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    overlapping = [
        (one, other)
        for one, other in itertools.combinations(places, 2)
        if one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    ]
    assert overlapping == []


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_it_asks_only_for_series_that_are_counted_or_recorded(expression):
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert metrics_in(expression) - set(metrics.series()) == set()
    assert set(re.findall(r"\b[a-z]\w*(?::\w+)+", expression)) - recorded == set()
    assert (
        metrics_in(expression)
        or any(name in expression for name in recorded)
        or expression.startswith("sum(up{")
    )


def test_each_line_of_a_panel_that_an_alert_watches_is_the_alerts_threshold():
    [refused] = [panel for panel in PANELS if panel["title"] == "Refused in enforce"]
    thresholds = {
        step["value"] for step in refused["fieldConfig"]["defaults"]["thresholds"]["steps"]
    } - {None}
    stated = " ".join(
        rule["expr"] for name, rule in alerts().items() if name.startswith("StageRejects")
    )
    assert thresholds == {float(found) for found in re.findall(r"> (0\.\d+)", stated)}


def test_prometheus_understands_every_expression(tmp_path):
    asked = [
        {"record": f"panel:expression:{number}", "expr": text}
        for number, text in enumerate(EXPRESSIONS)
    ]
    (tmp_path / "rules.yml").write_text(
        yaml.safe_dump({"groups": [{"name": "dashboard", "rules": asked}]})
    )
    done = run("promtool", "check", "rules", tmp_path / "rules.yml")
    assert (done.returncode, f"{len(asked)} rules found" in done.stdout) == (0, True), (
        done.stdout + done.stderr
    )
