"""The sub-commands of `normalization` that seal a target and switch its guard."""

from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError

from stageapp.management import bars
from stageapp.management.command import StageCommand, command_line_actor
from stageapp.management.seal_report import (
    guard_document,
    guard_lines,
    preview_document,
    preview_lines,
    seal_document,
    seal_lines,
)
from stageapp.normalization import choice
from stageapp.sealing import guard, seal
from stageapp.sealing.preview import preview

if TYPE_CHECKING:
    from argparse import _SubParsersAction

    from django.core.management.base import CommandParser


class SealVerbs(StageCommand):
    """The sub-commands `seal`, `unseal` and `guard`."""

    def add_seal_verbs(self, verbs: "_SubParsersAction[CommandParser]") -> None:
        on = verbs.add_parser("seal", help="make PostgreSQL refuse everything but stages")
        on.add_argument(
            "--allow",
            action="append",
            metavar="VALUE",
            help="an unknown value that may stay; can be repeated",
        )
        on.add_argument(
            "--null",
            choices=["allow", "refuse"],
            help="whether NULL passes (default for a first seal: allow)",
        )
        on.add_argument(
            "--dry-run",
            action="store_true",
            help="show what would fail; exit 1 if it cannot be sealed",
        )
        off = verbs.add_parser("unseal", help="remove the seal")
        guarded = verbs.add_parser(
            "guard", help="turn known spellings into stages as they are written"
        )
        guarded.add_argument("switch", choices=["on", "off", "status"])
        for verb in (on, off, guarded):
            verb.add_argument(
                "--target", help="app.Model.field; optional if only one is configured"
            )

    def _seal(
        self,
        *,
        target: str | None,
        allow: list[str] | None,
        null: str | None,
        dry_run: bool,
        reason: str,
        **options: Any,
    ) -> None:
        label, nulls = choice.target(target), {"allow": True, "refuse": False, None: None}[null]
        if not dry_run:
            with bars.working("sealing", quiet=options["json"]):
                now = seal.seal(
                    label, allow=allow, nulls=nulls, actor=command_line_actor(), reason=reason
                )
            self._print(seal_document(now), seal_lines(now), options)
            return
        with bars.working("reading the column", quiet=options["json"]):
            effect = preview(label, allow=allow, nulls=nulls)
        self._print(preview_document(effect), preview_lines(effect), options)
        if not effect.possible:
            raise CommandError("It cannot be sealed with these options; see above.")

    def _unseal(self, *, target: str | None, reason: str, **options: Any) -> None:
        with bars.working("waiting for the table", quiet=options["json"]):
            now = seal.unseal(choice.target(target), actor=command_line_actor(), reason=reason)
        self._print(seal_document(now), seal_lines(now), options)

    def _guard(self, *, switch: str, target: str | None, reason: str, **options: Any) -> None:
        label = choice.target(target)
        if switch == "status":
            now = guard.look(label)
        else:
            act = guard.switch_on if switch == "on" else guard.switch_off
            with bars.working("waiting for the table", quiet=options["json"]):
                now = act(label, actor=command_line_actor(), reason=reason)
        self._print(guard_document(now), guard_lines(now), options)

    def _print(self, document: dict[str, Any], lines: list[str], options: dict[str, Any]) -> None:
        raise NotImplementedError
