"""The stages and aliases of a new installation."""

from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent
STAGES = _FOLDER / "stages_v1.tsv"
ALIASES = _FOLDER / "aliases_v1.tsv"


class DefaultStage(NamedTuple):
    """A stage: slug, label to display, and rank from early to late."""

    slug: str
    label: str
    rank: int


class DefaultAlias(NamedTuple):
    """A spelling that means one stage, for every source."""

    spelling: str
    stage: str
    comment: str


def stages() -> list[DefaultStage]:
    """Return the default stages, early to late."""
    return [DefaultStage(slug, label, int(rank)) for slug, label, rank in _rows(STAGES)]


def aliases() -> list[DefaultAlias]:
    return [DefaultAlias(*row) for row in _rows(ALIASES)]


def _rows(file: Path) -> list[list[str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]
