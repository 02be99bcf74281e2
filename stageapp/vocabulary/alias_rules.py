"""Rules for the spellings that an alias may claim."""

from stageapp.models.vocabulary import REASONS
from stageapp.vocabulary import text

# An alias means exactly one stage. What the rules read as several of them, or as no value at all,
# is none.
_NEVER_A_STAGE = frozenset({"blank", "junk", "multiple_stages"})


def refusal(spelling: str, *, names_stage: bool) -> str:
    """Return why no alias may claim this spelling, empty if one may.

    `names_stage`: the alias would mean a stage; one that only changes the reason may claim more.
    """
    reduced = text.reduce(spelling)
    if reduced.final:
        return (
            f"it is decided before aliases apply: {reduced.reason}, "
            f"{REASONS[reduced.reason]}; an alias for it could never take effect"
        )
    if names_stage and reduced.reason in _NEVER_A_STAGE:
        return (
            f"the text rules classify it as {reduced.reason}: {REASONS[reduced.reason]}; "
            "it cannot mean one stage"
        )
    return ""
