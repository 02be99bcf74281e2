"""The report passes only if every check of every step held."""

import pytest

from stageapp.demo.walk import Report, StepFailed


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def report(lines):
    return Report(lines.append)


def test_it_passes_when_every_check_held(report, lines):
    report.step("One")
    report.check("rows", expected=50_000, measured=50_000)
    report.step("Two")
    report.check("counted", expected={"a": 1}, measured={"a": 1})
    assert report.verdict()
    assert lines[:4] == [
        "\n1. One",
        "   ok      rows: 50,000",
        "\n2. Two",
        "   ok      counted: a 1",
    ]
    assert lines[4].startswith("\nPASSED: all 2 checks in 2 steps passed,")


def test_one_check_that_does_not_hold_fails_it(report, lines):
    report.step("One")
    report.check("rows", expected=3, measured=3)
    report.check("state", expected="done", measured="failed")
    assert not report.verdict()
    assert "   FAILED  state: expected done, found failed" in lines
    assert lines[-1].startswith("\nNOT PASSED: 1 checks failed, 1 passed,")


def test_no_step_is_taken_after_one_that_failed(report, lines):
    report.step("One")
    report.check("rows", expected=3, measured=4)
    with pytest.raises(StepFailed):
        report.step("Two")
    assert lines[-1] == "   FAILED  rows: expected 3, found 4"


def test_a_report_without_a_check_does_not_pass(report):
    assert not report.verdict()


def test_yes_is_not_one(report):
    report.check("holds", expected=True, measured=False)
    assert report.failed == 1
