"""`manage.py rollout`: decisions other than the mode: marks, pins, steps, proposals."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from stageapp.infrastructure import words
from stageapp.management import bars
from stageapp.management.command import StageCommand, command_line_person, database_errors
from stageapp.mode import store
from stageapp.models.rollout import ConsumerPin, ModeProposal
from stageapp.rollout import canary, proposals, schedule, steps, timeline
from stageapp.rollout.changes import Wish

_VERBS = {
    "warn-period": "start a new warn period: its days count from now",
    "audited": "record an audit of who still sends what, under your name",
    "pin": "pin a consumer into the canary, pin it out, or unpin it",
    "members": "who is in the canary, with the share of yesterday's values",
    "plan": "plan larger shares; beat takes each one after its dwell time while the gates pass",
    "approve-plan": "approve planned steps (two-person rule)",
    "cancel-plan": "cancel planned steps",
    "propose": "propose to enforce (two-person rule)",
    "proposals": "show open proposals and planned steps",
    "approve": "approve another person's proposal, which changes the mode",
    "withdraw": "withdraw a proposal",
}
_FOLLOWED = ("pin", "approve")  # processes follow these changes
_WITH_REASON = ("warn-period", "audited", "pin", "plan", "propose")


class Command(StageCommand):
    """Decide on the rollout."""

    help = "Warn periods, audits, pins, planned steps and proposals."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for name, text in _VERBS.items():
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("--json", action="store_true", help="one JSON document on stdout")
            if name in _WITH_REASON:
                verb.add_argument("--reason", required=True, help="why; kept in the history")
        pin = verbs.choices["pin"]
        pin.add_argument("consumer")
        pin.add_argument("place", choices=[place for place, _ in ConsumerPin.PLACES])
        verbs.choices["members"].add_argument(
            "--percent", type=int, help="show the members that this share would have"
        )
        verbs.choices["plan"].add_argument(
            "percents", nargs="*", type=int, help="ascending; default: 50 100"
        )
        verbs.choices["propose"].add_argument("percent", type=int)
        verbs.choices["propose"].add_argument("--override-gates", metavar="REASON", default="")
        for name in ("approve", "withdraw"):
            verbs.choices[name].add_argument("number", type=int)

    def handle(self, *args: Any, verb: str, **options: Any) -> None:
        """Run the sub-command.

        Raises:
            CommandError: it is refused, or PostgreSQL does not respond.
        """
        act: Callable[..., tuple[Any, list[str]]] = getattr(self, f"_{verb.replace('-', '_')}")
        try:
            with database_errors(), bars.working(verb, quiet=options["json"]):
                document, lines = act(**options)
        except store.ModeError as error:
            raise CommandError(str(error)) from None
        self.print_result(document, lines, options)
        if verb in _FOLLOWED:
            self.warn_of_lag()

    def _warn_period(self, *, reason: str, **_: Any) -> tuple[Any, list[str]]:
        made = timeline.begin_warn_period(command_line_person(), reason)
        return {"began": made.created_at}, ["A new warn period has started."]

    def _audited(self, *, reason: str, **_: Any) -> tuple[Any, list[str]]:
        made = timeline.record_audit(command_line_person(), reason)
        return {"audited": made.created_at, "actor": made.actor}, [
            f"Recorded under the name {made.actor}."
        ]

    def _pin(self, *, consumer: str, place: str, reason: str, **_: Any) -> tuple[Any, list[str]]:
        made = canary.pin(consumer, place, person=command_line_person(), reason=reason)
        how = "no longer pinned" if made.place == "free" else f"pinned {made.place}"
        return {"consumer": made.consumer, "place": made.place}, [f"{consumer!r} is {how}."]

    def _members(self, *, percent: int | None, **_: Any) -> tuple[Any, list[str]]:
        newest = store.latest()
        share_of = newest.percent if newest.mode == "enforce" else 10
        members = canary.members(percent if percent is not None else share_of)
        share = canary.canary_share(members)
        lines = [
            f"{'enforce' if one.enforced else 'warn   '} {words.percent(100 * one.share):>8}  "
            f"{one.consumer} (bucket {one.bucket}{f', pinned {one.pin}' if one.pin else ''})"
            for one in members
        ] or ["There are no known consumers yet."]
        total = (
            "no values were sent yesterday"
            if share is None
            else f"{words.percent(100 * share)} of yesterday's values"
        )
        return {"share": share, "members": [asdict(member) for member in members]}, [
            *lines,
            f"Enforced: {total}.",
        ]

    def _plan(self, *, percents: list[int], reason: str, **_: Any) -> tuple[Any, list[str]]:
        schedule.plan_steps(command_line_person(), reason, percents or schedule.STEPS)
        return self._proposals()

    def _approve_plan(self, **_: Any) -> tuple[Any, list[str]]:
        schedule.approve_steps(command_line_person())
        return self._proposals()

    def _cancel_plan(self, **_: Any) -> tuple[Any, list[str]]:
        count = steps.cancel(f"cancelled by {command_line_person().name}")
        return {"cancelled": count}, [
            f"{words.count(count, 'planned step was', 'planned steps were')} cancelled."
        ]

    def _propose(
        self, *, percent: int, reason: str, override_gates: str, **_: Any
    ) -> tuple[Any, list[str]]:
        made = proposals.propose(
            command_line_person(), Wish("enforce", reason, percent, override=override_gates)
        )
        return {"proposal": made.pk}, [
            f"Proposal {made.pk}: {made}. Another person has to approve it."
        ]

    def _proposals(self, **_: Any) -> tuple[Any, list[str]]:
        open_ones, planned = proposals.waiting(), steps.to_come()
        document = {
            "proposals": [
                {"number": it.pk, "percent": it.percent, "actor": it.actor} for it in open_ones
            ],
            "steps": [
                {"percent": it.percent, "status": it.status, "actor": it.actor} for it in planned
            ],
        }
        return document, [f"{it.pk}: {it}" for it in open_ones] + [str(it) for it in planned] or [
            "Nothing waits."
        ]

    def _approve(self, *, number: int, **_: Any) -> tuple[Any, list[str]]:
        row = proposals.approve(_proposal(number), command_line_person())
        return {"mode": row.mode, "percent": row.percent, "version": row.version}, [
            f"Approved: {row}."
        ]

    def _withdraw(self, *, number: int, **_: Any) -> tuple[Any, list[str]]:
        proposals.withdraw(_proposal(number), command_line_person())
        return {"withdrawn": number}, [f"Proposal {number} was withdrawn."]


def _proposal(number: int) -> ModeProposal:
    proposal = ModeProposal.objects.filter(pk=number).first()
    if proposal is None:
        raise proposals.ProposalError(
            f"There is no proposal {number}. `manage.py rollout proposals` shows them."
        )
    return proposal
