"""Figures as people read them."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure import words
from stageapp.templatetags.figures import excerpt

UNITS = {"ms": 0.001, "s": 1, "min": 60, "h": 3600, "d": 86400}


@pytest.mark.parametrize(
    "seconds, shown",
    [
        (None, "–"),
        (0, "0 s"),
        (0.0004, "0.4 ms"),
        (0.012, "12 ms"),
        (0.0996, "0.1 s"),
        (0.15, "0.15 s"),
        (0.25, "0.25 s"),
        (0.996, "1 s"),
        (1.5714, "1.6 s"),  # a dwell of 0.0004365 h
        (9.96, "10 s"),
        (62, "62 s"),
        (89.6, "1 min 30 s"),
        (125, "2 min 5 s"),
        (441, "7 min 21 s"),  # a verified backup of 0.1225 h ago
        (599.7, "10 min"),
        (3_570, "1 h"),
        (3_600, "1 h"),
        (8_040, "2 h 14 min"),
        (86_400, "24 h"),
        (172_795, "2 d"),
        (273_600, "3 d 4 h"),
        (40 * 86_400 + 3_000, "40 d 1 h"),
        (-300, "−5 min"),
    ],
)
def test_a_duration(seconds, shown):
    assert words.duration(seconds) == shown


@given(st.floats(0.001, 1e8))
def test_a_duration_is_told_to_a_twentieth(seconds):
    parts = words.duration(seconds).replace(",", "").split()
    told = sum(
        float(number) * UNITS[unit] for number, unit in zip(parts[::2], parts[1::2], strict=True)
    )
    assert abs(told - seconds) <= seconds / 20


def test_an_age():
    now = datetime.datetime(2030, 1, 1, 12, tzinfo=datetime.UTC)
    assert words.age(now - datetime.timedelta(hours=3, minutes=2), now) == "3 h 2 min"


@pytest.mark.parametrize(
    "value, shown",
    [
        (None, "–"),
        (0, "0 %"),
        (0.0004, "< 0.01 %"),
        (0.4, "0.4 %"),
        (0.4365, "0.44 %"),
        (12, "12 %"),
        (33.3333, "33.3 %"),
        (50.0, "50 %"),
        (99.96, "> 99.9 %"),
        (100, "100 %"),
    ],
)
def test_a_percentage(value, shown):
    assert words.percent(value) == shown


@pytest.mark.parametrize("number, shown", [(0, "0 rows"), (1, "1 row"), (1234, "1,234 rows")])
def test_a_count(number, shown):
    assert words.count(number, "row") == shown
    assert words.count(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(
    "count, shown",
    [(0, "0 bytes"), (999, "999 bytes"), (1e3, "1.0 kB"), (2.5e6, "2.5 MB"), (7e9, "7.0 GB")],
)
def test_a_size(count, shown):
    assert words.size(count) == shown


def test_a_hash_is_told_by_its_beginning():
    assert words.short_hash("0123456789abcdef" * 4) == "0123456789ab"


@pytest.mark.parametrize("place, length", [("cell", 120), ("note", 200), ("paragraph", 300)])
def test_a_text_is_cut_to_what_its_place_has_room_for(place, length):
    assert excerpt("x" * length, place) == "x" * length
    assert excerpt("x" * (length + 1), place) == "x" * (length - 1) + "…"
