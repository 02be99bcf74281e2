"""`stages normalize`: one JSON string a line in, one JSON object a line out."""

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stageapp.management.commands.stages import Answers, BadLine, answer_all
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownEntry
from stageapp.models.vocabulary import Stage, StageAlias
from stageapp.vocabulary import defaults
from stageapp.vocabulary import text as reduction
from stageapp.vocabulary.snapshot import Snapshot, load
from tests.processes import PROJECT, database_url

SHIPPED = Snapshot(
    1, {}, {("", reduction.reduce(a.spelling).key): (a.stage, "") for a in defaults.aliases()}
)


def answered(data: bytes, answers=None) -> list[dict]:
    """Return the answers to some input, through real pipes."""
    (read, feed), (out, write) = os.pipe(), os.pipe()

    def give():
        rest = data
        with suppress(BrokenPipeError):  # a bad line ends the reading
            while rest:
                rest = rest[os.write(feed, rest) :]
        os.close(feed)

    collected = []
    threads = [
        threading.Thread(target=give),
        threading.Thread(target=lambda: collected.append(_all(out))),
    ]
    for thread in threads:
        thread.start()
    try:
        answer_all(read, write, Answers(SHIPPED, "") if answers is None else answers)
    finally:
        os.close(write)
        os.close(read)
        for thread in threads:
            thread.join(10)
        os.close(out)
        answered.lines = collected[0].decode("ascii").splitlines()
    return [json.loads(line) for line in answered.lines]


def _all(out):
    parts = []
    while part := os.read(out, 65_536):
        parts.append(part)
    return b"".join(parts)


def lines(*values) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def test_every_value_is_answered_in_order():
    assert answered(lines("Series-A", "Fondo X", "series-a", "")) == [
        {"value": "Series-A", "stage": "series_a", "reason": None, "suggestions": []},
        {"value": "Fondo X", "stage": None, "reason": "unmapped", "suggestions": []},
        {"value": "series-a", "stage": "series_a", "reason": None, "suggestions": []},
        {"value": "", "stage": None, "reason": "blank", "suggestions": []},
    ]


def test_an_unknown_value_has_its_suggestion():
    assert answered(lines("Sеries A"))[0]["suggestions"] == ["series_a"]  # a Cyrillic e


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(st.characters(codec=None, categories=None), max_size=300), max_size=20))
def test_any_string_comes_back_as_it_was(values):
    assert [answer["value"] for answer in answered(lines(*values))] == values


def test_a_lone_surrogate_survives_as_an_escape():
    answered(b'"\\ud800\\u0000"\n')
    assert answered.lines[0].startswith('{"value": "\\ud800\\u0000"')


def test_the_last_line_needs_no_line_end():
    assert len(answered(b'"Seed"\n"Seed"')) == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"5", "of type int"),
        (b"null", "of type NoneType"),
        (b'["Seed"]', "of type list"),
        (b"Seed", "Expecting value"),
        (b"", "Expecting value"),
        (b'"Seed', "Unterminated string"),
        (b'"\xff"', "not UTF-8"),
        (b"[" * 100_000, "."),
        (b'"' + b"x" * 1_100_000 + b'"', "longer than 1,000,000 bytes"),
    ],
)
def test_a_bad_line_is_named_and_the_lines_before_it_are_answered(line, why):
    with pytest.raises(BadLine, match=r"^Line 3 of the input") as error:
        answered(b'"Seed"\n"Series B"\n' + line + b'\n"Seed"\n')
    assert why in str(error.value)
    assert [json.loads(text)["stage"] for text in answered.lines] == ["seed", "series_b"]


def test_an_endless_line_is_refused_before_its_end():
    with pytest.raises(BadLine, match="longer than"):
        answered(b'"' + b"x" * 5_000_000)


def test_memory_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr("stageapp.management.commands.stages._MEMORY", 10)
    answers = Answers(SHIPPED, "")
    assert len(answered(lines(*map(str, range(100))), answers)) == 100
    assert len(answers) == 10


def run(text: bytes, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "manage.py", "stages", "normalize", *arguments]
    environment = os.environ | {"DATABASE_URL": database_url()} | environment
    return subprocess.run(
        command, input=text, capture_output=True, cwd=PROJECT, env=environment, timeout=60
    )


@pytest.mark.django_db(transaction=True)
def test_the_command_answers_and_writes_nothing():
    done = run(lines("Fondo X"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "value": "Fondo X",
        "stage": None,
        "reason": "unmapped",
        "suggestions": [],
    }
    assert not UnknownEntry.objects.exists()
    assert not ConsumerSighting.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_command_ends_with_1_after_a_bad_line():
    done = run(b'"x"\n5\n"y"\n')
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 1)
    assert b"Line 2 of the input" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.django_db(transaction=True)
def test_a_source_has_aliases_of_its_own():
    stage = Stage.objects.create(slug="pe", label="PE", rank=30_001)
    StageAlias.objects.create(spelling="Fondo X", key="fondo x", source="beta", stage=stage)
    assert json.loads(run(lines("Fondo X"), "--source", "beta").stdout)["stage"] == "pe"
    assert json.loads(run(lines("Fondo X")).stdout)["stage"] is None


@pytest.mark.django_db(transaction=True)
def test_wrong_usage_is_exit_code_2():
    assert run(b"", "--no-such-option").returncode == 2


@pytest.mark.django_db(transaction=True)
def test_an_answer_comes_before_the_next_line_is_written():
    command = [sys.executable, "manage.py", "stages", "normalize"]
    environment = os.environ | {"DATABASE_URL": database_url()}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT, env=environment
    ) as process:
        for value in ("Fondo X", "Fondo Y", "Fondo X"):
            process.stdin.write(lines(value))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["value"] == value
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.django_db
@pytest.mark.full  # a time on a clock: for a machine that does nothing else
def test_ten_thousand_values_a_second_are_answered():
    known = [
        "Series A",
        "seed ",
        "Pre Seed",
        "Série B",
        "Angel",
        "Series C, D",
        "n/a",
        "Late Stage",
        "5M EUR",
    ]
    values = [known[number % 9] if number % 5 else f"Fondo {number} X" for number in range(100_000)]
    data = lines(*values)
    began = time.perf_counter()
    assert len(answered(data, Answers(load(), ""))) == 100_000
    assert time.perf_counter() - began < 10
