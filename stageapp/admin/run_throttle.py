"""What holds a run back, on its page, and the form that changes its limits."""

from typing import Any

from django import forms
from django.http import HttpRequest

from stageapp.models.normalization import MOVES, Run, State
from stageapp.normalization import throttling
from stageapp.normalization.factors import FACTORS


class LimitsForm(forms.Form):
    """Asks for new limits; an empty one stays as it is."""

    reason = forms.CharField(
        max_length=2000, help_text="Kept in the history, under your name.", widget=forms.Textarea(attrs={"rows": 3})
    )

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Offer one field for each factor, with the limit that counts now beside it."""
        super().__init__(*args, **kwargs)
        for name, limit in throttling.limits(run).items():
            self.fields[name] = _field(name, limit)
        self.order_fields([*FACTORS, "reason"])

    def clean(self) -> dict[str, Any]:
        """Gather what is asked for under `wanted`, as the domain takes it."""
        found = super().clean() or {}
        wanted = {name: found[name] for name in FACTORS if found.get(name) is not None}
        if not wanted and not self.errors:
            raise forms.ValidationError("Write at least one limit; empty ones stay as they are.")
        return {"wanted": wanted, "reason": found.get("reason", "")}


def _field(name: str, limit: throttling.Limit) -> forms.FloatField:
    factor = FACTORS[name]
    unit = f", in {factor.unit}" if factor.unit else ""
    now = f"{limit.limit:g}" if limit.limit else "off"
    by = f", set by {limit.actor}" if limit.actor else ""
    return forms.FloatField(
        label=f"{factor.title[:1].upper()}{factor.title[1:]}{unit}", required=False, min_value=0,
        max_value=100 if factor.falls else None, help_text=f"Now {now}{by}. 0 turns it off.",
    )  # fmt: skip


def context(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return what a run's page shows of its throttle."""
    shown = throttling.shown(run)
    limits = throttling.limits(run)
    read = {reading["factor"]: reading for reading in shown.readings}
    rows = [
        {
            "factor": FACTORS[name],
            "limit": limit,
            "limit_shown": FACTORS[name].say(limit.limit),
            "reading": read.get(name),
            "value": _value(name, read.get(name)),
            "seconds": shown.seconds[name],
        }
        for name, limit in limits.items()
    ]
    return {"throttle": shown, "throttle_rows": rows, "may_throttle": may_change(request, run)}


def _value(name: str, reading: dict[str, Any] | None) -> str:
    if reading is None or reading["value"] is None:
        return "–"
    return FACTORS[name].say(reading["value"])


def changes(run: Run) -> list[dict[str, Any]]:
    """Return the limits that were changed, newest first."""
    return [
        {
            "change": change,
            "title": FACTORS[change.factor].title if change.factor in FACTORS else change.factor,
            "limit": _limit_shown(change.factor, change.limit),
        }
        for change in run.throttle_changes.all()
    ]


def _limit_shown(factor: str, limit: float | None) -> str:
    if limit is None:
        return "as set"
    if not limit:
        return "off"
    return FACTORS[factor].say(limit) if factor in FACTORS else f"{limit:g}"


def may_change(request: HttpRequest, run: Run) -> bool:
    """Tell whether this user may change the limits of this run."""
    return bool(MOVES[State(run.state)]) and request.user.has_perm("stageapp.operate_run")
