"""What a change of mode would mean, in words and in yesterday's requests."""

from dataclasses import dataclass

from stageapp.modes import ModeState
from stageapp.traffic import Summary

MEANINGS = {
    "off": "Known spellings are understood, unknown ones pass. Answers say nothing about it; everything is counted.",
    "warn": "Every request passes. Callers that send unknown or outdated spellings are told so in the answer.",
    "enforce": "Requests with an unknown stage are refused. Outdated spellings pass with a warning.",
}


@dataclass(frozen=True)
class Row:
    """One outcome: how many of the last day's requests would have met it, now and then."""

    outcome: str
    now: int
    then: int

    @property
    def difference(self) -> int:
        """Return how many more requests would meet it."""
        return self.then - self.now


@dataclass(frozen=True)
class Preview:
    """A proposed mode beside the one in force."""

    now: ModeState
    then: ModeState
    rows: tuple[Row, ...]
    total: int
    at_most: int  # rejections, if the canary's share held every caller that sends unknown stages

    @property
    def direction(self) -> str:
        """Return `stricter`, `looser` or `same`."""
        if self.then.strictness == self.now.strictness:
            return "same"
        return "stricter" if self.then.strictness > self.now.strictness else "looser"

    @property
    def estimated(self) -> bool:
        """Tell whether a figure is an estimate: windows count requests, a canary holds for consumers."""
        return any(state.mode == "enforce" and state.percent < 100 for state in (self.now, self.then))


def preview(now: ModeState, then: ModeState, traffic: Summary) -> Preview:
    """Return what the last day's traffic would have met in either mode."""
    before, after = met(now, traffic), met(then, traffic)
    rows = tuple(Row(name, before[name], after[name]) for name in ("accepted", "warned", "rejected"))
    return Preview(now, then, rows, traffic.total, traffic.outcomes[then.mode]["rejected"])


def met(state: ModeState, traffic: Summary) -> dict[str, int]:
    """Return outcome → requests; for a canary as if all callers were alike."""
    outcomes = traffic.outcomes
    if state.mode != "enforce":
        return outcomes[state.mode]
    outside, inside = outcomes["warn"], outcomes["enforce"]
    extra = round((inside["rejected"] - outside["rejected"]) * state.percent / 100)
    return {
        "accepted": outside["accepted"],
        "warned": outside["warned"] - extra,
        "rejected": outside["rejected"] + extra,
    }
