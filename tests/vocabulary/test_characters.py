"""The folding table: what one character becomes, and which characters make a value unreadable."""

import unicodedata

import pytest
from hypothesis import given

from stageapp.vocabulary import text
from stageapp.vocabulary.text import fold, squeeze
from tests.vocabulary import hard_values

REPLACEMENTS, RANGES = text.read_characters()


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("Series A", "series a"),
        ("Ｓｅｒｉｅｓ　Ａ", "series a"),
        ("Séries Ç", "series c"),
        ("Se\u0301ries", "series"),
        ("SERİES, serıes", "series, series"),
        ("ﬃ œ ß", "ffi oe ss"),
        ("a\xa0b\u2003c\td\r\ne\u2028f", "a b c d e f"),
        ("\ufeffSe\u200be\xadd\u202e", "seed"),
        ("a–b—c−d‑e－f", "a-b-c-d-e-f"),
        ("“a” ‘b’ «c»", '"a" \'b\' "c"'),
        ("  •  Seed  ", "seed"),
        ("Ａ轮、Ｂ轮", "a轮,b轮"),
        ("シード 시드", "シード 시드"),
    ],
)
def test_writing_habits_fold_away(raw, folded):
    assert fold(raw) == folded


@pytest.mark.parametrize("letter", "АВСΑΒЕеѕ")
def test_a_look_alike_letter_keeps_its_own_script(letter):
    folded = fold(letter)
    assert folded is not None
    assert not folded.isascii()
    assert folded == letter.lower()


@pytest.mark.parametrize(
    "stranger", ["\x00", "\x01", "\x7f", "\ue000", "🌱", "Ⅰ", "Ⓐ", "𝐀", "²", "©"]
)
def test_a_character_outside_the_table_makes_the_value_unreadable(stranger):
    assert fold(f"Seed{stranger}") is None


def test_half_a_surrogate_pair_and_the_replacement_character_make_it_unreadable():
    assert fold("\ud800") is fold("Seed\udfff") is fold("\ufffd") is None


def test_every_accented_latin_letter_folds_to_the_base_that_unicode_names():
    for point in [*range(0xC0, 0x180), *range(0x1E00, 0x1F00)]:
        base = unicodedata.normalize("NFD", chr(point))[0]
        if unicodedata.category(chr(point)) in ("Lu", "Ll") and base.isascii():
            assert fold(chr(point)) == base.lower(), hex(point)


def test_every_space_and_dash_of_unicode_is_known():
    for point in range(0x10000):
        category = unicodedata.category(chr(point))
        if category == "Zs":
            assert fold(f"a{chr(point)}b") == "a b", hex(point)
        elif category == "Pd" and point not in {
            0x301C,
            0x3030,
            0x30A0,
        }:  # wave dashes, a kana double hyphen
            assert fold(f"a{chr(point)}b") in ("a-b", None), hex(point)


def test_the_table_is_closed_under_folding():
    known = set(REPLACEMENTS) | {p for first, last in RANGES for p in range(first, last + 1)}
    for replacement in REPLACEMENTS.values():
        assert {ord(c) for c in replacement} <= known
        assert all(REPLACEMENTS.get(ord(c), c) == c for c in replacement)


def test_no_character_is_both_in_a_row_and_in_a_range():
    assert not [p for p in REPLACEMENTS for first, last in RANGES if first <= p <= last]


@given(hard_values.values)
def test_folding_twice_is_folding_once(raw):
    folded = fold(raw)
    assert folded is None or fold(folded) == folded


def test_squeezing_leaves_single_spaces_inside_only():
    assert squeeze("  a   b ") == "a b"
    assert squeeze("   ") == ""
