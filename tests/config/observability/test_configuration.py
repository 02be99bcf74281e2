"""The shipped configuration is one that Prometheus and Alertmanager take, and sends each alert
where it belongs.
"""

import re

import pytest
import yaml

from tests.chain.configuration import PLACES, install
from tests.config.observability.programs import SHIPPED, run
from tests.config.observability.test_rules import alerts
from tests.processes import PROJECT

ALERTMANAGERS = sorted(SHIPPED.glob("alertmanager*.yml"))
PAGE = PROJECT / "docs" / "observability.md"


def test_prometheus_takes_its_configuration_and_finds_every_rule_file():
    done = run("promtool", "check", "config", SHIPPED / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(list((SHIPPED / 'rules').glob('*.yml')))} rule files found" in done.stdout


@pytest.mark.parametrize("path", ALERTMANAGERS, ids=lambda path: path.stem)
def test_alertmanager_takes_its_configuration(path):
    done = run("amtool", "check-config", path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ALERTMANAGERS, ids=lambda path: path.stem)
@pytest.mark.parametrize("alert", alerts())
def test_what_lowers_the_mode_reaches_people_too_and_nothing_else_lowers_it(alert, path):
    labels = [f"{name}={value}" for name, value in alerts()[alert]["labels"].items()]
    done = run(
        "amtool", "config", "routes", "test", f"--config.file={path}", f"alertname={alert}", *labels
    )
    expected = "downgrade,people" if "action=downgrade" in labels else "people"
    assert (done.returncode, done.stdout.strip()) == (0, expected), done.stderr


def test_the_two_ways_to_the_webhook_differ_in_nothing_but_the_receiver():
    signed, bearer = ({**yaml.safe_load(path.read_text())} for path in reversed(ALERTMANAGERS))
    [[relay], [direct]] = (
        [r for r in each.pop("receivers") if r["name"] == "downgrade"] for each in (signed, bearer)
    )
    assert signed == bearer
    assert "http_config" not in relay["webhook_configs"][0]
    assert direct["webhook_configs"][0]["url"].endswith("/_ops/stage-validation/auto-downgrade")
    assert not any(each["webhook_configs"][0]["send_resolved"] for each in (relay, direct))


@pytest.mark.parametrize("path", ALERTMANAGERS, ids=lambda path: path.stem)
def test_lowering_the_mode_waits_for_nothing(path):
    [route] = [
        each
        for each in yaml.safe_load(path.read_text())["route"]["routes"]
        if each["receiver"] == "downgrade"
    ]
    assert (route["group_wait"], route["group_interval"]) == ("0s", "5s")
    inhibited = yaml.safe_load(path.read_text())["inhibit_rules"]
    lowering = {
        name for name, rule in alerts().items() if rule["labels"].get("action") == "downgrade"
    }
    held = {
        name
        for rule in inhibited
        for m in rule["target_matchers"]
        for name in re.findall(r'"(\w+)"', m)
    }
    assert held & lowering == set()
    assert held <= alerts().keys()


def test_scrapes_and_evaluations_are_as_frequent_as_thirty_seconds_need():
    written = yaml.safe_load((SHIPPED / "prometheus.yml").read_text())["global"]
    assert (written["scrape_interval"], written["evaluation_interval"]) == ("5s", "5s")


def test_the_page_names_every_place_to_set_and_each_stands_in_the_configuration():
    text = "".join(path.read_text() for path in SHIPPED.glob("*.yml"))
    assert [
        place
        for place in PLACES.values()
        if place not in text or f"`{place}`" not in PAGE.read_text()
    ] == []
    addresses = set(
        re.findall(
            r"[\d.]+:\d{4,5}|/etc/alertmanager/[\w-]+",
            re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE),
        )
    )
    assert addresses == set(PLACES.values())


def test_installing_it_changes_places_and_nothing_else(tmp_path):
    places = {name: f"{name}.example.org:1" for name in PLACES}
    installed = install(tmp_path, **places)
    for path in SHIPPED.rglob("*.*"):
        text = (installed / path.relative_to(SHIPPED)).read_text()
        for name, place in places.items():
            text = text.replace(place, PLACES[name])
        assert text == path.read_text()
