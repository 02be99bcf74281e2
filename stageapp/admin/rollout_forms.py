"""The forms of the rollout page: what a decision needs beside its reason."""

from django import forms

from stageapp.admin.confirm import ReasonForm
from stageapp.models.rollout import ConsumerPin


class PinForm(ReasonForm):
    """Says whom to pin, and where."""

    consumer = forms.CharField(max_length=200, strip=False, help_text="Its name, exactly.")
    place = forms.ChoiceField(choices=ConsumerPin.PLACES, widget=forms.RadioSelect)
    field_order = ["consumer", "place", "reason"]


class StepsForm(ReasonForm):
    """Says which shares to plan."""

    percents = forms.CharField(max_length=100, label="Shares, in percent", help_text="Rising, for example: 50 100")
    field_order = ["percents", "reason"]

    def clean_percents(self) -> list[int]:
        """Return the numbers; what rises and how far is the planner's to judge."""
        words: list[str] = self.cleaned_data["percents"].replace(",", " ").split()
        if not all(word.isascii() and word.isdecimal() and len(word) <= 3 for word in words):
            raise forms.ValidationError("Give whole numbers with spaces between them, for example: 50 100")
        return [int(word) for word in words]
