"""The audit from an access log: the API's requests, who made them, and the stages in their query
strings.
"""

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.api.fallbacks import resource_of
from stageapp.consumers.audit import access_log
from stageapp.consumers.audit.access_log import read_log, still_sends
from stageapp.consumers.contacts import agent_hash
from stageapp.vocabulary.snapshot import shipped

VOCABULARY = shipped()
COMPANIES = "/api/funds/1/companies"


def line(
    target,
    address="10.0.0.7",
    user="-",
    method="GET",
    agent="reporter/1.0",
    time="22/Nov/2026:14:00:07 +0000",
):
    return f'{address} - {user} [{time}] "{method} {target} HTTP/1.1" 200 1 "-" "{agent}"\n'


def read(*lines):
    return read_bytes("".join(lines).encode())


def read_bytes(data):
    return read_log(io.BufferedReader(io.BytesIO(data)), resource_of, VOCABULARY)


def sent(client):
    return {
        it.value: (it.outcome, it.send, it.reason, it.suggestions, it.requests)
        for it in still_sends(client, VOCABULARY)
    }


def test_stages_in_query_strings_are_reported_with_what_to_send_or_why_not():
    audit = read(
        line(f"{COMPANIES}?stage=Series-A"),
        line(f"{COMPANIES}?stage=Series-A&stage=Seires+B&page=2"),
        line(f"{COMPANIES}?stage=s%C3%A9rie%20a&stage=grant&stage="),
        line(f"{COMPANIES}?stage=series_a&q=Seed"),
    )
    (client,) = audit.clients.values()
    assert sent(client) == {
        "Series-A": ("normalized", "series_a", None, (), 2),
        "Seires B": ("unknown", None, "unmapped", ("series_b",), 1),
        "série a": ("normalized", "series_a", None, (), 1),
        "grant": ("unknown", None, "not_a_stage", (), 1),
        "": ("unknown", None, "blank", (), 1),
    }
    assert (client.stages, client.unknown, client.unknown_share) == (7, 3, 3 / 7)


def test_a_client_is_its_user_or_its_address():
    audit = read(
        line("/api/stages"),
        line("/api/stages", user="alice"),
        line("/api/stages", user="alice", address="8.8.8.8"),
        line("/api/deprecations", address="8.8.8.8", agent="other"),
    )
    found = {
        name: (it.network, it.requests, dict(it.endpoints)) for name, it in audit.clients.items()
    }
    assert found == {
        "10.0.0.7": ("internal", 1, {"stages": 1}),
        "alice": ("external", 2, {"stages": 2}),
        "8.8.8.8": ("external", 1, {"deprecations": 1}),
    }
    assert audit.clients["8.8.8.8"].agents == [agent_hash("other")]


def test_only_the_apis_requests_count_and_bodies_are_only_counted():
    audit = read(
        line("/admin/"),
        line("/static/x.js"),
        line("/healthz"),
        line("/api/nothing"),
        line("/_ops/stage-validation/mode"),
        line("/api/monte-carlo/simulate", method="POST"),
        line("/api/portfolio/strategies/7", method="PUT"),
    )
    (client,) = audit.clients.values()
    assert dict(client.endpoints) == {
        "no_such_resource": 1,
        "mode": 1,
        "monte_carlo": 1,
        "strategies": 1,
    }
    assert (client.bodies, audit.others, client.unknown_share) == (2, 3, None)


def test_the_last_time_counts_whatever_the_order():
    audit = read(
        line("/api/stages", time="23/Nov/2026:00:00:00 +0000"),
        line("/api/stages"),
        line("/api/stages", time="x"),
    )
    assert f"{audit.clients['10.0.0.7'].last_seen:%F %T}" == "2026-11-23 00:00:00"


def test_lines_that_cannot_be_read_are_counted_and_shown_and_the_rest_is_read():
    long = line(f"{COMPANIES}?q=" + "x" * access_log.LONGEST_LINE)
    audit = read(
        "nonsense\n",
        "\n",
        long,
        line("//[/api/stages"),
        line(f"{COMPANIES}?{'&' * 2000}"),
        line("/api/stages"),
    )
    assert (audit.lines, audit.malformed, audit.clients["10.0.0.7"].requests) == (6, 4, 1)
    assert [number for number, _, _ in audit.malformed_examples] == [1, 3, 4, 5]
    assert "65,536 bytes" in audit.malformed_examples[1][1]
    assert len(audit.malformed_examples[1][2]) == 120


def test_formats_are_told_apart_line_by_line():
    document = json.dumps(
        {"remote_addr": "10.0.0.7", "request": f"GET {COMPANIES}?stage=Seed HTTP/2.0"}
    )
    audit = read(
        line("/api/stages"), document + "\n", line("/api/stages").partition(' "-"')[0] + "\n"
    )
    assert dict(audit.formats) == {"combined": 1, "json": 1, "common": 1}
    assert sent(audit.clients["10.0.0.7"])["Seed"][1] == "seed"


def test_a_compressed_log_is_read_and_one_that_breaks_off_is_told():
    data = gzip.compress(
        "".join(line(f"{COMPANIES}?stage=Seed&page={n}") for n in range(9_000)).encode()
    )
    assert read_bytes(data).clients["10.0.0.7"].requests == 9_000
    broken = read_bytes(data[: len(data) // 2])
    assert 0 < broken.clients["10.0.0.7"].requests < 9_000
    assert "breaks off" in broken.ended_early
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 255
    assert read_bytes(bytes(flipped)).ended_early


@pytest.mark.parametrize(
    "bound, made",
    [("MOST_CLIENTS", "clients"), ("MOST_VALUES", "values"), ("MOST_AGENTS", "agents")],
)
def test_memory_is_bounded(monkeypatch, bound, made):
    monkeypatch.setattr(access_log, bound, 3)
    audit = read(
        *(
            line(
                f"{COMPANIES}?stage=x{n if made == 'values' else ''}",
                agent=f"agent/{n if made == 'agents' else ''}",
                address=f"10.0.0.{n if made == 'clients' else 1}",
            )
            for n in range(10)
        )
    )
    assert sum(client.requests for client in audit.clients.values()) == 10
    if made == "clients":
        assert len(audit.clients) == 4
        assert audit.clients["others"].requests == 7
    client = audit.clients["10.0.0.1"]
    assert len(client.agents) <= 3
    assert len(client.sent) <= 4


@given(st.lists(st.binary()))
def test_any_bytes_are_read(pieces):
    audit = read_bytes(b"\n".join(pieces))
    assert audit.malformed <= audit.lines


@given(st.text(st.characters(codec="utf-8")))
def test_any_query_is_read(query):
    audit = read(line(f"{COMPANIES}?stage={query}"), line("/api/stages"))
    assert audit.lines >= 2
