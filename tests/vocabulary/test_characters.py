"""The folding table: what one character becomes, and which characters make a value unreadable."""

import unicodedata
from bisect import bisect_right
from itertools import pairwise

import pytest
from hypothesis import given

from stageapp.vocabulary import make_characters, text
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
    "stranger", ["\x00", "\x01", "\x7f", "\ue000", "\ufffd", "\ufffc", "\U0010ffff", "\u0378"]
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
        elif category == "Pd" and point not in (0x301C, 0x3030):  # wave dashes
            assert fold(f"a{chr(point)}b") in ("a-b", None), hex(point)


def test_the_table_is_closed_under_folding():
    becomes = {*REPLACEMENTS.values(), *(one.replacement for one in RANGES)} - {text.KEPT}
    for replacement in becomes:
        assert fold(f"a{replacement}b") == squeeze(f"a{replacement}b")


def test_a_character_stands_once_in_the_table():
    firsts = [one.first for one in RANGES]
    for point in REPLACEMENTS:
        place = bisect_right(firsts, point) - 1
        assert place < 0 or point > RANGES[place].last, hex(point)
    assert all(one.last < later.first for one, later in pairwise(RANGES))


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("סֶדֶר", "סדר"),
        ("مُحَمَّد أَحمد", "محمد احمد"),
        ("ซีรีส์", "ซีรีส์"),
        ("श्रृंखला", "श्रृंखला"),
        ("ᲡᲔᲠᲘᲐ Ⴀ", "სერია ⴀ"),
        ("ՍԵՐԻԱ", "սերիա"),
        ("٣ ३ ๓", "3 3 3"),
        ("\u200fסבב\u200e A", "סבב a"),
        ("🚀 Seed™", "seed"),
        ("Seed👍🏽🇺🇸", "seed"),
        ("𝐒𝐞𝐞𝐝 Ⓐ ² Ⅰ", "seed a 2 1"),
        ("Seed ❌ ≥ ₿", "seed ? ~ $"),
    ],
)
def test_every_script_is_read(raw, folded):
    assert fold(raw) == folded


def test_every_letter_mark_and_digit_of_this_pythons_unicode_is_known():
    for point in range(0x110000):
        if unicodedata.category(chr(point))[0] in "LMN":
            assert fold(chr(point)) is not None, hex(point)


def test_the_generated_part_is_what_its_script_writes():
    lines, replaced, ranges = make_characters.hand_written()
    folder = make_characters.Folder(replaced, ranges)
    assert any(line.startswith("0020\t") for line in lines)
    # Of characters that both Unicode versions know alike; the whole takes Python 3.13.
    for letter in "ÅßЙאَ๓अẞ𝐒①Ⓐ™❌≥₪\u200f\ufe0f🚀":
        assert fold(f"x{letter}x") == squeeze(f"x{folder.fold(letter)}x"), letter


@given(hard_values.values)
def test_folding_twice_is_folding_once(raw):
    folded = fold(raw)
    assert folded is None or fold(folded) == folded


def test_squeezing_leaves_single_spaces_inside_only():
    assert squeeze("  a   b ") == "a b"
    assert squeeze("   ") == ""
