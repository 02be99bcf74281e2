"""GET|PUT /_ops/stage-validation/mode: read and change the mode; a token may only lower it."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp import conf
from stageapp.api.authentication import caller_of, is_consumer
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.errors import Problem
from stageapp.api.fields import FlagField, IntegerField, StrictSerializer, TextField
from stageapp.documents.mode import ModeInForce
from stageapp.mode import fast_copy, store
from stageapp.mode.store import ModeError, ModeState, VersionConflict
from stageapp.people import Person, person_of
from stageapp.rollout.changes import Wish, change_mode
from stageapp.rollout.errors import GatesHold, Latched, OverrideNotPermitted, SecondPersonNeeded
from stageapp.rollout.gates.verdicts import Gate


class ModeRequest(StrictSerializer):
    """A change of mode."""

    mode = serializers.ChoiceField(conf.MODES)
    percent = IntegerField(min_value=1, max_value=100, default=100)
    reason = TextField(max_length=2000)
    enforce_on = serializers.DateField(
        default=None,
        allow_null=True,
        input_formats=["%Y-%m-%d"],
        help_text="announces this day; if omitted, the announced day is kept",
    )
    withdraw_enforce_on = FlagField(default=False, help_text="withdraws the announced day")
    expected_version = IntegerField(min_value=0, required=False)
    override_reason = TextField(max_length=2000, default="", allow_blank=True)


class NotLowered(Problem):
    """A token asked for something other than a lower mode."""

    status_code, default_code, title = 403, "mode_not_lowered", "A token may only lower the mode"
    default_detail = (
        "Raise it, or change its announced day, in the admin or with `manage.py mode set`."
    )


class ModeConflict(Problem):
    """The mode is not at the version the caller expects."""

    status_code, default_code, title = (
        409,
        "version_conflict",
        "The mode has changed in the meantime",
    )


class HeldBack(Problem):
    """Gates that the change requires do not pass."""

    status_code, default_code, title = 409, "gates_hold", "Gates block the change"

    def __init__(self, detail: str, gates: tuple[Gate, ...]) -> None:
        super().__init__(detail)
        self.gates = gates

    def members(self) -> dict[str, Any]:
        """Return the gates that do not pass."""
        return {"gates": [gate.document() for gate in self.gates]}


class SecondPerson(Problem):
    """The two-person rule requires a second person."""

    status_code, default_code, title = 409, "second_person_needed", "A second person is needed"


class MayNotRaise(Problem):
    """The user may not override gates, or raise the mode after a downgrade."""

    status_code, default_code, title = 403, "mode_not_raised", "The user may not raise the mode"


class ModeRefused(Problem):
    """The values do not form a mode."""

    status_code, default_code, title = 400, "mode_refused", "Not a valid mode"


class Mode(Endpoint):
    """The current mode."""

    scopes = {"GET": "ops", "PUT": "ops"}
    permissions = {"PUT": "stageapp.change_mode"}

    def get(self, request: Request) -> Response:
        """Return the mode as this process knows it, and how fresh that is."""
        return Response(ModeInForce(store.current()).data)

    def put(self, request: Request) -> Response:
        """Change the mode; requesting the current mode changes nothing."""
        sent = validated(ModeRequest(data=request.data))
        newest = store.latest()
        expected = sent.pop("expected_version", newest.version)
        if expected != newest.version:
            raise ModeConflict(str(VersionConflict(newest.version, expected)))
        # Whether nothing would change; a body without a day leaves the announced one as it is.
        same_mode = (sent["mode"], sent["percent"]) == (newest.mode, newest.percent)
        same_day = (
            sent["enforce_on"] in (None, newest.enforce_on) and not sent["withdraw_enforce_on"]
        )
        if not (newest.version > 0 and same_mode and same_day):
            if is_consumer(request):
                refuse_unless_lower(sent, newest)
            name = caller_of(request)
            person = Person(name) if is_consumer(request) else person_of(request.user, name)
            override = sent.pop("override_reason")
            try:
                change_mode(person, Wish(**sent, override=override), expected_version=expected)
            except VersionConflict as error:
                raise ModeConflict(str(error)) from error
            except GatesHold as error:
                raise HeldBack(str(error), error.gates) from error
            except SecondPersonNeeded as error:
                raise SecondPerson(str(error)) from error
            except (Latched, OverrideNotPermitted) as error:
                raise MayNotRaise(str(error)) from error
            except ModeError as error:
                raise ModeRefused(str(error)) from error
            if lag := fast_copy.lag_warning():
                return Response({**ModeInForce(store.latest()).data, "warning": lag})
        return Response(ModeInForce(store.latest()).data)


def refuse_unless_lower(sent: dict[str, Any], newest: ModeState) -> None:
    """Raise NotLowered unless the mode is strictly lower and the announced day is untouched."""
    asked = ModeState(sent["mode"], sent["percent"])
    touches_the_day = sent["enforce_on"] is not None or sent["withdraw_enforce_on"]
    if asked.strictness >= newest.strictness or touches_the_day:
        raise NotLowered
