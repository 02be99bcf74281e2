"""The forms of the mode page: choose, then confirm with a reason."""

import datetime
from collections.abc import Collection
from typing import Any

from django import forms

from stageapp.models.modes import ModeChange
from stageapp.modes import ModeError, check_day


class ModeForm(forms.Form):
    """Chooses a mode; sent by GET, changes nothing."""

    mode = forms.ChoiceField(choices=ModeChange.MODES, widget=forms.RadioSelect)
    percent = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=100,
        label="Percent of consumers",
        help_text="For enforce only, 1 to 100; the others get warn. Empty means all.",
    )
    enforce_on = forms.DateField(
        required=False,
        label="Announced first day of enforcement",
        help_text="Optional; callers see it in their answers. Empty: the announced day stays.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    withdraw_enforce_on = forms.BooleanField(required=False, label="Withdraw the announced day")

    def clean_enforce_on(self) -> datetime.date | None:
        """Require that the day is not past."""
        day: datetime.date | None = self.cleaned_data["enforce_on"]
        if day is not None:
            try:
                check_day(day)
            except ModeError as refusal:
                raise forms.ValidationError(str(refusal)) from refusal
        return day

    def clean(self) -> dict[str, Any]:
        """Require that a percentage belongs to enforce, and one thing at a time for the day."""
        values = self.cleaned_data
        if values.get("enforce_on") and values.get("withdraw_enforce_on"):
            refusal = "Announce a day or withdraw the one announced, not both."
            self.add_error("withdraw_enforce_on", refusal)
        if values.get("mode") != "enforce" and values.get("percent") not in (None, 100):
            self.add_error("percent", "A percentage belongs to enforce. Leave it empty.")
        values["percent"] = values.get("percent") or 100
        return values


class ModeChangeForm(ModeForm):
    """Confirms a mode; sent by POST with what the user had seen."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)
    reason = forms.CharField(
        max_length=2000,
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    override = forms.CharField(
        required=False,
        max_length=2000,
        label="Reason for moving past the gates",
        help_text="The gates above do not pass. Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    break_glass = forms.CharField(
        required=False,
        max_length=2000,
        label="Break the glass: reason for enforcing without a second person",
        help_text="Leave it empty to propose the change to somebody else. Loud in the log and in the history.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, asks: Collection[str] = (), **kwargs: Any) -> None:
        """Carry the choice along unseen; `asks` are the exceptional reasons that this change and user call for."""
        super().__init__(*args, **kwargs)
        for name in {"override", "break_glass"} - set(asks):
            del self.fields[name]
        for name in ("mode", "percent", "enforce_on", "withdraw_enforce_on"):
            self.fields[name].widget = forms.HiddenInput()
