"""Write the generated part of the folding table: every letter, mark, digit and symbol of Unicode.

    python3.13 stageapp/vocabulary/make_characters.py

The first part of characters_v1.tsv is written by hand, and wins. Below the marker stands what
follows from Python's own Unicode data, whose version the marker names: 15.1 comes with Python 3.13.
Decomposition is that of Unicode Standard Annex 15 (NFKC), case that of `str.casefold`.
"""

import sys
import unicodedata
from pathlib import Path

FILE = Path(__file__).with_name("characters_v1.tsv")
MARKER = "# --- Below: made by make_characters.py from Unicode "
VERSION = "15.1.0"

# Scripts whose accents and points are habits of writing. Elsewhere marks are part of the word.
_POINTED = ("LATIN", "GREEK", "CYRILLIC", "HEBREW", "ARABIC")
_POINTS = [(0x0300, 0x036F), (0x0483, 0x0487), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F)]
_POINTS += [
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
]
_POINTS += [(0xFE00, 0xFE0F), (0xFE20, 0xFE2F), (0xE0100, 0xE01EF)]
# A sign that says no, stop, wait or perhaps beside a stage: whoever wrote it is in doubt.
_DOUBTS = "❌✖✗✘⛔❓❔🚫🛑⏳⌛🔜🔙🔚🤔🤷🙅🙈⁉⚠❗❕‼👎☠⚰🪦💀💔🆖🆘🗑🚧💤📉🔮🤞☐☒⬜⬛🔴🟠🟡🟥🟧🟨❎➖📅📆🗓💣👻🔒🔻⬇🥶🥺🧊🕳"
# Clocks, buttons of a player (stop, pause, wait) and faces.
_DOUBTFUL = [(0x231A, 0x231B), (0x23E9, 0x23FA), (0x1F550, 0x1F567), (0x1F600, 0x1F64F)]
_DOUBTFUL += [(0x1F910, 0x1F92F), (0x1F970, 0x1F97A)]
# Punctuation by a word of its name, the first that fits; other marks are a space.
_PUNCTUATION = [
    *(("DASH", "-"), ("HYPHEN", "-"), ("QUESTION", "?"), ("EXCLAMATION", "!"), ("COMMA", ",")),
    *(("FULL STOP", "."), ("SEMICOLON", ";"), ("COLON", ":"), ("QUOTATION", '"')),
    *(("APOSTROPHE", "'"), ("SOLIDUS", "/"), ("AMPERSAND", "&"), ("PERCENT", "%")),
]


def hand_written() -> tuple[list[str], dict[str, str], list[tuple[int, int]]]:
    """Return the lines above the marker, what they replace, and the ranges they keep."""
    lines = FILE.read_text(encoding="utf-8").splitlines()
    end = next((i for i, line in enumerate(lines) if line.startswith(MARKER)), len(lines))
    replaced: dict[str, str] = {}
    ranges: list[tuple[int, int]] = []
    for line in lines[:end]:
        if line.startswith("#"):
            continue
        points, replacement, _ = line.split("\t")
        first, _, last = points.partition("-")
        if last:
            ranges.append((int(first, 16), int(last, 16)))
        else:
            replaced[chr(int(first, 16))] = replacement.replace("\\s", " ")
    return lines[:end], replaced, ranges


class Folder:
    """What each character folds to; the hand-written part first."""

    def __init__(self, replaced: dict[str, str], ranges: list[tuple[int, int]]) -> None:
        self.replaced, self.ranges = replaced, ranges

    def kept_by_hand(self, letter: str) -> bool:
        return any(first <= ord(letter) <= last for first, last in self.ranges)

    def fold(self, letter: str, depth: int = 0) -> str | None:
        """Return what the letter becomes, None if it stays outside of the table."""
        if letter in self.replaced:
            return self.replaced[letter]
        if self.kept_by_hand(letter):
            return letter
        category, name = unicodedata.category(letter), unicodedata.name(letter, "")
        if letter in "\ufffc\ufffd":  # stand for what could not be read
            return None
        if letter in _DOUBTS or any(one <= ord(letter) <= last for one, last in _DOUBTFUL):
            return "?"
        if any(first <= ord(letter) <= last for first, last in _POINTS):
            return ""
        if category == "Nd":
            return str(unicodedata.digit(letter))
        if category in ("Nl", "No"):
            value = unicodedata.numeric(letter, None)
            whole = value is not None and value == int(value)
            return str(int(value)) if whole and value is not None and value < 1000 else "~"
        if category in ("Cf", "Me"):
            return ""
        if category in ("Zs", "Zl", "Zp"):
            return " "
        if category[0] in "LM":
            return self._letter(letter, name, depth)
        if category == "Sc":
            return "$"
        if category == "Sm" or "ARROW" in name or "EQUAL" in name:
            return "~"
        if category[0] == "S":
            plain = unicodedata.normalize("NFKC", letter)
            named = any(word in name for word in ("CIRCLED", "PARENTHESIZED", "SQUARED"))
            if named and plain != letter and depth < 3:
                return self._all(plain.strip("()"), depth)
            return " "
        if category[0] == "P":
            if category in ("Ps", "Pi", "Pe", "Pf") and "QUOTATION" not in name:
                return "(" if category in ("Ps", "Pi") else ")"
            if "WAVE" in name or "TILDE" in name or "SWUNG" in name:
                return "~"
            return next((mark for word, mark in _PUNCTUATION if word in name), " ")
        return None

    def _letter(self, letter: str, name: str, depth: int) -> str | None:
        plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", letter).casefold())
        if plain != letter:
            return self._all(plain, depth) if depth < 3 else None
        bare = unicodedata.normalize("NFD", letter)
        if bare != letter and name.startswith(_POINTED) and depth < 3:
            return self._all(bare, depth)
        return letter

    def _all(self, text: str, depth: int) -> str | None:
        parts = [self.fold(letter, depth + 1) for letter in text]
        return None if None in parts else "".join(part for part in parts if part is not None)


def generated(folder: Folder) -> list[str]:
    """Return the lines in order: neighbours that become the same, or all stay, are one range."""
    rows: list[tuple[int, int, str]] = []
    for point in range(sys.maxunicode + 1):
        letter = chr(point)
        if letter in folder.replaced or folder.kept_by_hand(letter):
            continue
        if unicodedata.category(letter) in ("Cn", "Co", "Cs", "Cc"):
            continue
        folded = folder.fold(letter)
        if folded is None:
            continue
        becomes = "=" if folded == letter else folded.replace(" ", "\\s")
        if rows and rows[-1][1] == point - 1 and rows[-1][2] == becomes:
            rows[-1] = (rows[-1][0], point, becomes)
        else:
            rows.append((point, point, becomes))
    return [_line(*row) for row in rows]


def _line(first: int, last: int, becomes: str) -> str:
    name = unicodedata.name(chr(first), "unnamed").lower()
    if first == last and becomes != "=":
        return f"{first:04X}\t{becomes}\t{name}"
    return f"{first:04X}-{last:04X}\t{becomes}\tfrom {name}"


def main() -> None:
    if unicodedata.unidata_version != VERSION:
        raise SystemExit(
            f"This Python has Unicode {unicodedata.unidata_version}; run it with one that has "
            f"{VERSION} (Python 3.13)."
        )
    above, replaced, ranges = hand_written()
    lines = [
        *above,
        f"{MARKER}{VERSION} (Python 3.13). Do not edit.",
        *generated(Folder(replaced, ranges)),
    ]
    FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
