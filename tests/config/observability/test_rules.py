"""The alert rules: each fires and does not fire where it should, says what to do, and names
metrics that exist.
"""

import re
from pathlib import Path

import pytest
import yaml

from stageapp.infrastructure import metrics
from tests.config.observability.programs import CASES, RULES, run
from tests.processes import PROJECT

RUNBOOK = PROJECT / "docs" / "runbooks" / "alerts.md"
NAME = re.compile(r"\bstage_\w+")
# What a rule may name beside our own metrics: Prometheus's own, and what the rules record.
LABELS = re.compile(r"\{[^}]*\}|\b(?:by|on|without|group_left|group_right) \([^)]*\)")
TEMPLATE = re.compile(r"{{ (.*?) }}")


def rules() -> list[dict]:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def metrics_in(expression: str) -> set[str]:
    """Return the names of the raw series in an expression; a recorded one has a colon in its
    name.
    """
    bare = LABELS.sub("", expression)
    return {
        match
        for match in re.findall(r"[\w:]+", bare)
        if match.startswith("stage_") and ":" not in match
    }


def cases() -> list[dict]:
    tests = [test for path in CASES for test in yaml.safe_load(path.read_text())["tests"]]
    return [case for test in tests for case in test["promql_expr_test"]]


def concerns(case: dict, alert: str) -> bool:
    """Tell whether a case looks at this alert, by its name or by a pattern of names."""
    if not case["expr"].startswith(("ALERTS", "count(ALERTS")):
        return False
    named = re.search(r'alertname(=~?)"([^"]+)"', case["expr"])
    return named is None or re.fullmatch(named[2], alert) is not None


def fires(case: dict, alert: str) -> bool:
    """Tell whether a case expects this alert to fire: by name, or, where it is counted, as the
    only one asked for.
    """
    samples = case["exp_samples"]
    return any(f'alertname="{alert}"' in sample["labels"] for sample in samples) or (
        bool(samples)
        and case["expr"].startswith("count(")
        and f'alertname="{alert}"' in case["expr"]
    )


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_alerts_fire_and_do_not_fire_as_the_cases_say(path):
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_case_that_is_wrong_would_be_seen(tmp_path):
    wrong = (
        CASES[0]
        .read_text()
        .replace("exp_samples: []", "exp_samples: [{labels: '{}', value: 1}]", 1)
    )
    rules_file = (CASES[0].parent / yaml.safe_load(wrong)["rule_files"][0]).resolve()
    (tmp_path / "wrong.yml").write_text(re.sub(r"- \.\./.*\.yml", f"- {rules_file}", wrong))
    assert run("promtool", "test", "rules", tmp_path / "wrong.yml").returncode != 0


@pytest.mark.parametrize("alert", alerts())
def test_there_is_a_case_in_which_it_fires_and_one_in_which_it_does_not(alert):
    looked_at = [case for case in cases() if concerns(case, alert)]
    assert any(fires(case, alert) for case in looked_at)
    assert any(not case["exp_samples"] for case in looked_at)


@pytest.mark.parametrize("alert", alerts())
def test_it_says_how_bad_it_is_what_to_do_and_where_to_read_on(alert):
    rule = alerts()[alert]
    assert rule["labels"]["severity"] in ("page", "ticket", "info")
    assert len(rule["annotations"]["description"]) > 60
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert PROJECT / page == RUNBOOK
    assert anchor == alert.lower()
    assert f"### {alert}\n" in RUNBOOK.read_text()


def test_the_runbook_tells_of_no_other_alert():
    assert set(re.findall(r"^### (\w+)$", RUNBOOK.read_text(), re.MULTILINE)) == alerts().keys()


def test_only_what_callers_are_refused_lowers_the_mode():
    lowering = {
        name for name, rule in alerts().items() if rule["labels"].get("action") == "downgrade"
    }
    assert lowering == {"StageRejectsFastBurn", "StageRejectsHigh"}
    assert {rule["labels"].get("action") for rule in alerts().values()} == {None, "downgrade"}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_it_names_is_one_that_the_program_counts(rule):
    assert metrics_in(rule["expr"]) - set(metrics.series()) == set()


def test_every_recorded_series_that_a_rule_names_is_recorded():
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    named = {
        name
        for rule in rules()
        for name in re.findall(r"\b[a-z]\w*(?::\w+)+", LABELS.sub("", rule["expr"]))
    }
    assert named - recorded == set()


def test_a_metric_that_does_not_exist_would_be_seen():
    assert metrics_in('sum by (mode) (rate(stage_requests{x="stage_b"}[5m])) / slo:stage_c:d') == {
        "stage_requests"
    }
    assert "stage_requests" not in set(metrics.series())


@pytest.mark.parametrize("alert", alerts())
def test_a_template_asks_only_for_what_the_alert_has(alert):
    """A label that the expression's result lacks would be an empty word in the middle of a
    sentence.
    """
    allowed = {"$value", "$value | humanizePercentage", "$value | humanizeDuration"}
    rule = alerts()[alert]
    asked = {
        template for text in rule["annotations"].values() for template in TEMPLATE.findall(text)
    } - allowed
    fired = [
        s["labels"]
        for case in cases()
        for s in case["exp_samples"]
        if f'alertname="{alert}"' in s["labels"]
    ]
    known = {label for labels in fired for label in re.findall(r"(\w+)=", labels)}
    assert {label.removeprefix("$labels.") for label in asked} - known == set()


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_promtool_finds_nothing_wrong_in_the_rules(path: Path):
    done = run("promtool", "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
