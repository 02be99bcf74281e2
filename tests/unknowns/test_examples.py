"""Examples: short, ASCII, and byte for byte what was written."""

from hypothesis import example, given

from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns import examples
from tests.unknowns.test_records import ANY


@given(ANY)
@example("\x00\ud800")
@example("\udfff" * 100)
@example("é" * 300)
@example("x" * 512)
def test_an_example_is_short_ascii_and_reads_back_byte_for_byte_or_says_that_it_was_cut(raw):
    shown = examples.example(raw)
    assert shown.isascii() or shown.endswith("…")
    assert len(shown) <= UnknownEntry.LONGEST_EXAMPLE
    assert (
        examples.readable(shown) == raw
        if shown.endswith('"')
        else raw.startswith(examples.readable(shown))
    )
