"""Forms of the vocabulary: every edit says why, and an alias's key comes from its spelling."""

from typing import TYPE_CHECKING, Any

from django import forms

from stageapp.alias_rules import refusal
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
