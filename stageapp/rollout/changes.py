"""Change the mode under the rollout rules; used by admin, API, command line and beat."""

import datetime
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from stageapp import conf
from stageapp.infrastructure import events
from stageapp.mode import store
from stageapp.mode.store import ModeError, ModeState, VersionConflict
from stageapp.models.mode import ModeChange
from stageapp.people import Person
from stageapp.rollout import steps
from stageapp.rollout.gates.verdicts import Gate
from stageapp.rollout.judgement import judge_change
from stageapp.traffic import windows

BREAK_GLASS = "BREAK-GLASS: "
_ATTEMPTS = 5


@dataclass(frozen=True)
class Wish:
    """A requested change of mode.

    `override` and `break_glass` are reasons for overriding gates or acting without a second
    person. Without `enforce_on` the announced day stays; only `withdraw_enforce_on` removes it.
    """

    mode: str
    reason: str
    percent: int = 100
    enforce_on: datetime.date | None = None
    override: str = ""
    break_glass: str = ""
    withdraw_enforce_on: bool = False

    @property
    def state(self) -> ModeState:
        """The requested mode, without the announced day (see `after`)."""
        return ModeState(self.mode, self.percent)

    def after(self, newest: ModeState) -> ModeState:
        """Return the state after the wish is granted.

        Raises:
            ModeError: the day cannot be announced or withdrawn.
        """
        day = store.next_day(newest, self.enforce_on, withdraw=self.withdraw_enforce_on)
        began = newest.since or timezone.now()  # leaving `off` begins the warnings
        since = None if self.mode == "off" else began
        return ModeState(self.mode, self.percent, enforce_on=day, since=since)


def change_mode(
    person: Person,
    wish: Wish,
    *,
    expected_version: int | None = None,
    kind: str = "manual",
    approved_by: str = "",
    now: datetime.datetime | None = None,
) -> ModeChange:
    """Change the mode if its gates pass or may be overridden; a lower mode is always allowed.

    Raises:
        GatesHold: gates do not pass, and no override reason is given.
        OverrideNotPermitted: the actor may not override gates or break the glass.
        Latched: an automatic downgrade is in effect, and the actor may not raise the mode again.
        SecondPersonNeeded: the two-person rule is on, and nobody else has approved.
        VersionConflict: the mode is not at `expected_version`, or changed meanwhile.
        ModeError: the values are not a valid mode, or the reason is empty.
    """
    newest = store.latest()
    if expected_version is not None and expected_version != newest.version:
        raise VersionConflict(newest.version, expected_version)
    overridden = _allow(person, wish, newest, approved_by, now or windows.now())
    override, glass = wish.override.strip(), wish.break_glass.strip()
    broken = glass if conf.settings.two_person_rule else ""
    # The history keeps the reasons that were needed.
    passed = [f"{BREAK_GLASS}{broken}"] if broken else []
    if overridden:
        past = ", ".join(f"{gate.name} ({gate.verdict.value})" for gate in overridden)
        passed.append(f"{override} [past {past}]")

    def tell() -> None:
        if broken:
            what = f"{wish.mode} {wish.percent} %"
            events.glass_broken(actor=person.name, what=what, reason=broken)
        if overridden:
            events.gates_overridden(
                actor=person.name,
                mode=wish.mode,
                percent=wish.percent,
                gates=[gate.name for gate in overridden],
                reason=override,
            )

    with transaction.atomic():
        row = store.change(
            mode=wish.mode,
            percent=wish.percent,
            enforce_on=wish.enforce_on,
            withdraw_enforce_on=wish.withdraw_enforce_on,
            actor=person.name,
            reason=wish.reason + (f"\nApproved by {approved_by}." if approved_by else ""),
            expected_version=newest.version,
            kind=kind,
            override_reason="\n".join(passed),
        )
        if kind != "scheduled":
            steps.cancel(f"{person.name} changed the mode to {row.mode} {row.percent} % ({kind})")
        transaction.on_commit(tell)
    return row


def refusal(person: Person, wish: Wish, *, approved_by: str = "") -> ModeError | None:
    """Return the error that this change would raise now, or None; changes nothing."""
    try:
        _allow(person, wish, store.latest(), approved_by, windows.now())
    except ModeError as error:
        return error
    return None


def _allow(
    person: Person, wish: Wish, newest: ModeState, approved_by: str, now: datetime.datetime
) -> list[Gate]:
    """Return the gates that the person overrides.

    Raises:
        ModeError: the change is refused, or its values are not valid.
    """
    store.check(wish.mode, wish.percent, wish.reason)
    wish.after(newest)
    judged = judge_change(person, newest, wish.state, now)
    refused = judged.refusal(
        override=wish.override.strip(),
        break_glass=wish.break_glass.strip(),
        approved=bool(approved_by),
    )
    if refused:
        raise refused
    return list(judged.holding)


def downgrade(*, actor: str, reason: str) -> ModeChange | None:
    """Downgrade `enforce` to `warn` and set the latch; return None if nothing is enforced.

    Never makes the mode stricter. A concurrent change by someone else is not undone: the state is
    checked again.
    """
    for _ in range(_ATTEMPTS):
        newest = store.latest()
        if newest.mode != "enforce":
            return None
        wish = Wish("warn", reason)
        try:
            row = change_mode(
                Person(actor), wish, expected_version=newest.version, kind="downgrade"
            )
        except VersionConflict:
            continue
        events.mode_downgraded(actor=actor, reason=reason)
        return row
    raise ModeError("The mode keeps changing, so it was not lowered. Try again.")
