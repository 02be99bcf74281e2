"""Auto-downgrade: takes `enforce` back when too many requests are rejected, without alerting."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from stageapp import conf
from stageapp.conf import AutoDowngradeThresholds, share
from stageapp.mode import history as mode_history
from stageapp.models.mode import ModeChange
from stageapp.rollout.changes import downgrade
from stageapp.traffic import windows
from stageapp.traffic.history import Slot, Step, history, settled

ACTOR = "auto-downgrade"


@dataclass(frozen=True)
class Rule:
    """Broken if over `percent` of enforced requests are rejected in each of `slots` slots.

    `sample` is the minimum number of requests in all of them.
    """

    name: str
    percent: float
    step: Step
    slots: int
    sample: int

    def since(self, now: datetime.datetime) -> datetime.datetime:
        """Return the start of the first slot to check; the last one is the newest complete slot."""
        return self.step.floor(now - settled()) - self.step.length * self.slots

    def broken_by(self, slots: Sequence[Slot], since: datetime.datetime) -> bool:
        """Whether these slots break the rule; slots without requests are ignored.

        If the first slot has none, the rule has not been broken for long enough.
        """
        told = [slot for slot in slots if slot.judged]
        if (
            not told
            or told[0].started_at != since
            or sum(slot.judged for slot in told) < self.sample
        ):
            return False
        return all(slot.rejects > share(self.percent) * slot.judged for slot in told)


def rules(wanted: AutoDowngradeThresholds) -> tuple[Rule, Rule]:
    """Return the slow rule and the fast one."""
    return (
        Rule("slow", wanted.percent, Step.MINUTE, wanted.minutes, wanted.sample),
        Rule(
            "fast",
            wanted.fast_percent,
            Step.WINDOW,
            wanted.fast_seconds // Step.WINDOW,
            wanted.fast_sample,
        ),
    )


def watch(now: datetime.datetime | None = None) -> ModeChange | None:
    """Downgrade if the newest windows break a rule; return the mode change, if any.

    Only requests in effective `enforce` count, and only those since the last mode change.
    """
    wanted = conf.auto_downgrade()
    now = now or windows.now()
    enforced_since = mode_history.read().phase_since()
    if not wanted.enabled or enforced_since is None:
        return None
    for rule in rules(wanted):
        since = rule.since(now)
        if since < enforced_since:
            continue
        slots = history(rule.step, since, since + rule.step.length * rule.slots, mode="enforce")
        if rule.broken_by(slots, since):
            rejects, judged = (
                sum(slot.rejects for slot in slots),
                sum(slot.judged for slot in slots),
            )
            reason = (
                f"The {rule.name} rule of the auto-downgrade: more than {rule.percent:g} % of the "
                f"enforced requests were refused for {rule.step * rule.slots} s "
                f"({rejects} of {judged})."
            )
            return downgrade(actor=ACTOR, reason=reason)
    return None
