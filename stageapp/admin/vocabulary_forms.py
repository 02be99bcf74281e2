"""Forms of the vocabulary: every edit says why, and an alias's key comes from its spelling."""

from typing import TYPE_CHECKING, Any

from django import forms

from stageapp.alias_rules import refusal
from stageapp.finance.allocations import AllocationError
from stageapp.finance.assumptions import StageAssumptions
from stageapp.finance.multiples import AssumptionError
from stageapp.finance.reserves import FollowOnRule
from stageapp.models.vocabulary import StageAlias
from stageapp.text import reduction

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm


class CuratedForm(ModelForm):
    """Asks why, of every edit."""

    why = forms.CharField(
        max_length=2000,
        label="Reason for this change",
        help_text="Kept with the new vocabulary version, under your name.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class StageForm(CuratedForm):
    """Edits a stage. Its assumptions must make sense, or no simulation could be run any more."""

    def clean(self) -> dict[str, Any]:
        """Build from the columns what a simulation builds from them."""
        values = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                StageAssumptions.from_columns(values)
                FollowOnRule(values["follow_on_share"], values["follow_on_multiple"])
            except (AssumptionError, AllocationError) as error:
                raise forms.ValidationError(str(error)) from None
        return values


class AliasForm(CuratedForm):
    """Edits an alias. Its key is what the text rules leave of its spelling."""

    class Meta:
        model = StageAlias
        fields = ["spelling", "source", "stage", "reason", "comment"]
        widgets = {
            "spelling": forms.TextInput(attrs={"class": "vTextField"}),
            "comment": forms.Textarea(attrs={"rows": 2}),
        }
        help_texts = {
            "stage": "The one stage it means; or leave it empty and say below why it is none.",
            "source": "Empty: holds everywhere. Or the one consumer or import it holds for.",
        }

    def clean_spelling(self) -> str:
        """Refuse a spelling that no alias could ever be found by."""
        spelling: str = self.cleaned_data["spelling"]
        if why_not := refusal(spelling, names_stage=bool(self.data.get("stage"))):
            raise forms.ValidationError(f"No alias may claim this spelling: {why_not}.")
        self.instance.key = reduction.reduce(spelling).key
        return spelling

    def clean(self) -> dict[str, Any]:
        """Hold that an alias means a stage or has a reason, and that nothing else claims its key."""
        values = super().clean() or self.cleaned_data
        if bool(values.get("stage")) == bool(values.get("reason")):
            self.add_error("stage", "Choose a stage, or a reason why it is none: one of the two.")
        if (other := self._claimed(values)) is not None:
            self.add_error(
                "spelling", f"“{other.spelling}” is the same but for formatting, and is there already: {other}."
            )
        return values

    def _claimed(self, values: dict[str, Any]) -> StageAlias | None:
        same = StageAlias.objects.filter(source=values.get("source", ""), key=self.instance.key)
        return same.exclude(pk=self.instance.pk).select_related("stage").first() if self.instance.key else None
