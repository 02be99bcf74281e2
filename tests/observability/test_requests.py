"""What one request leaves: counts, a name in the log, a line for unknown stages; and nothing a
caller could forge.
"""

import io
import json
import logging
import logging.config
import re

import pytest
import structlog
from django.conf import settings as project_settings
from prometheus_client import REGISTRY

from stageapp.api import validation
from stageapp.infrastructure import events, metrics
from stageapp.infrastructure.events import Sampler

PATH = "/api/allocations"


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def send(client, *stages):
    body = {"stage_distribution": {stage: 100 / len(stages) for stage in stages}}
    return client.post(PATH, json.dumps(body), "application/json")


@pytest.fixture
def calling(client_of, consumer):
    return client_of(consumer)


@pytest.fixture
def lines(monkeypatch):
    """Return a function that parses the log's lines, as the configured processors write them."""
    buffer = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(buffer),
        processors=structlog.get_config()["processors"],
        wrapper_class=structlog.get_config()["wrapper_class"],
    )
    monkeypatch.setattr(events, "_log", logger)
    monkeypatch.setattr(validation, "_sampler", Sampler())

    def read():
        text = buffer.getvalue()
        assert text.isascii()
        assert re.search(r"[\x00-\x09\x0b-\x1f]", text) is None
        return [json.loads(line) for line in text.splitlines()]

    return read


@pytest.mark.parametrize(
    "mode, stages, outcome, shadow",
    [
        ("off", ["seed"], "accepted", 0),
        ("off", ["space rock"], "accepted", 1),
        ("warn", ["seed"], "accepted", 0),
        ("warn", ["Seed"], "warned", 0),
        ("warn", ["space rock"], "warned", 1),
        ("enforce", ["Seed"], "warned", 0),
        ("enforce", ["space rock"], "rejected", 1),
    ],
)
def test_a_request_counts_once_in_its_mode_with_its_outcome(
    calling, in_mode, mode, stages, outcome, shadow
):
    in_mode(mode)
    labels = {"endpoint": "allocations", "mode": mode}
    names = {
        "stage_requests_total": labels | {"outcome": outcome},
        "stage_shadow_rejects_total": labels,
        "stage_validation_seconds_count": {"endpoint": "allocations"},
        "stage_unknowns_total": {"reason": "unmapped"},
    }
    before = {name: value(name, **labels) for name, labels in names.items()}
    send(calling, *stages)
    assert [value(name, **labels) - before[name] for name, labels in names.items()] == [
        1,
        shadow,
        1,
        shadow,
    ]


def test_a_malformed_request_is_malformed_and_not_validated(calling, in_mode):
    in_mode("enforce")
    labels = {"endpoint": "allocations", "mode": "enforce", "outcome": "malformed"}
    before = (
        value("stage_requests_total", **labels),
        value("stage_validation_seconds_count", endpoint="allocations"),
    )
    calling.post(PATH, "{", "application/json")
    after = (
        value("stage_requests_total", **labels),
        value("stage_validation_seconds_count", endpoint="allocations"),
    )
    assert (after[0] - before[0], after[1] - before[1]) == (1, 0)


def test_a_canary_counts_in_the_mode_that_the_caller_got(calling, consumer, in_mode):
    in_mode("enforce", percent=1)
    before = {
        mode: value("stage_requests_total", endpoint="allocations", mode=mode, outcome="accepted")
        for mode in metrics.MODES
    }
    told = send(calling, "seed").headers["X-Stage-Mode"]
    after = {
        mode: value("stage_requests_total", endpoint="allocations", mode=mode, outcome="accepted")
        for mode in metrics.MODES
    }
    assert [mode for mode in metrics.MODES if after[mode] > before[mode]] == [told]


def test_a_validator_that_fails_is_an_error(calling, in_mode, monkeypatch):
    in_mode("warn")
    calling.raise_request_exception = False
    monkeypatch.setattr("stageapp.api.validation.decide", lambda *a, **k: 1 / 0)
    labels = {"endpoint": "allocations", "mode": "warn", "outcome": "error"}
    before = value("stage_requests_total", **labels)
    assert send(calling, "seed").status_code == 500
    assert value("stage_requests_total", **labels) - before == 1


@pytest.mark.parametrize("method", ["BREW", "X" * 500, "GET\u00e9"])
def test_a_method_that_does_not_exist_makes_no_label(client, method):
    client.generic(method, "/healthz")
    methods = {
        sample.labels["method"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("django_http") and "method" in sample.labels
    }
    assert methods <= {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "TRACE",
        "OPTIONS",
        "CONNECT",
        "PATCH",
        "<invalid method>",
    }


@pytest.mark.parametrize("length", ["many", "-1", "1e3", "９", "9" * 400])
def test_a_length_that_is_no_number_fails_nothing(client, length):
    assert client.get("/healthz", headers={"Content-Length": length}).status_code == 200


def test_an_unknown_stage_leaves_one_line_that_nobody_can_forge(calling, in_mode, lines):
    in_mode("warn")
    forged = 'x"}\n{"event": "mode_changed"}\r\x1b[2J\u2028\u202e'
    calling.defaults["HTTP_USER_AGENT"] = f"agent {forged}"
    named = send(calling, forged, "seed").headers["X-Request-ID"]
    [line] = lines()
    assert (line["event"], line["rate"], line["request_id"]) == ("unknown_stages", 1.0, named)
    assert (line["endpoint"], line["mode"], line["outcome"]) == ("allocations", "warn", "warned")
    assert line["values"] == [forged]
    assert re.fullmatch(r"[0-9a-f]{16}", line["user_agent"])
    assert "alpha-token" not in json.dumps(line)


def test_of_many_unknown_values_a_few_are_shown_and_long_ones_are_cut(calling, in_mode, lines):
    in_mode("warn")
    send(calling, *(f"space rock {number} {'x' * 200}" for number in range(20)))
    [line] = lines()
    assert line["unknown"] == 20
    assert [len(each) for each in line["values"]] == [
        validation.LONGEST_VALUE
    ] * validation.MOST_VALUES


def test_of_a_flood_few_lines_are_kept_with_their_rate(calling, in_mode, lines, monkeypatch):
    monkeypatch.setattr(
        validation, "_sampler", Sampler(lambda: 0.0, iter([0.05] + [0.5] * 19).__next__)
    )
    in_mode("warn")
    for _ in range(30):
        send(calling, "space rock")
    assert [line["rate"] for line in lines()] == [1.0] * 10 + [0.1]


def test_known_stages_leave_no_line(calling, in_mode, lines):
    in_mode("warn")
    send(calling, "seed", "Series A")
    assert lines() == []


def test_a_fingerprint_is_keyed(settings):
    one = validation.fingerprint("curl/8.0")
    assert one == validation.fingerprint("curl/8.0") != validation.fingerprint("curl/8.1")
    settings.SECRET_KEY = "another key" * 5
    assert validation.fingerprint("curl/8.0") != one
    assert validation.fingerprint("") == ""


@pytest.mark.parametrize(
    "proxies, sent, kept",
    [
        (0, "abcdefgh", False),
        (1, "abcdefgh", True),
        (1, "abc", False),
        (1, "a" * 65, False),
        (1, "abcdefgh\n", False),
        (1, "abcdefg é", False),
    ],
)
def test_only_a_proxy_of_ours_names_a_request(client, settings, proxies, sent, kept):
    settings.STAGE_TRUSTED_PROXIES = proxies
    named = client.get("/healthz", HTTP_X_REQUEST_ID=sent).headers["X-Request-ID"]
    assert named == sent if kept else re.fullmatch(r"[0-9a-f]{32}", named)


def test_each_request_has_a_name_of_its_own_and_leaves_none_behind(client):
    names = {client.get("/healthz").headers["X-Request-ID"] for _ in range(5)}
    assert len(names) == 5
    assert structlog.contextvars.get_contextvars() == {}


def test_what_a_library_logs_is_one_line_of_json_too():
    formatter = logging.config.dictConfigClass(project_settings.LOGGING).configure_formatter(
        project_settings.LOGGING["formatters"]["json"]
    )
    try:
        raise ValueError("first\nsecond \x1b[31m")
    except ValueError as error:
        record = logging.LogRecord(
            "a.library",
            logging.WARNING,
            "",
            0,
            "got %s",
            ("one\ntwo",),
            (type(error), error, error.__traceback__),
        )
    [line] = formatter.format(record).splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["logger"]) == (
        "got one\ntwo",
        "warning",
        "a.library",
    )
    assert "ValueError: first" in told["exception"]
