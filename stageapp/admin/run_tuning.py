"""How hard a run works: the form that changes it while it works."""

from typing import Any

from django import forms

from stageapp import conf
from stageapp.admin.confirm import ReasonForm
from stageapp.models.normalization import Run, State
from stageapp.normalization.pacing import LEAST_SECONDS, MOST_SECONDS

OVER = (State.DONE, State.CANCELLED, State.ROLLED_BACK)
EXPLANATION = (
    "Workers follow with their next batch. More shards are divided from what the main pass has not seen yet; with "
    "fewer, workers leave as they end theirs. A pause here is the rest between two batches."
)


class TuneForm(ReasonForm):
    """Asks for new values; an empty one stays as it is. What a value may be is the domain's to judge."""

    workers = forms.IntegerField(required=False, label="Shards: workers at once")
    batch_seconds = forms.FloatField(required=False, label="Time target of a batch, in seconds")
    pause_seconds = forms.FloatField(required=False, label="Rest between batches, in seconds")
    field_order = ["workers", "batch_seconds", "pause_seconds", "reason"]

    def __init__(self, run: Run, *args: Any, **kwargs: Any) -> None:
        """Tell beside each field what counts now."""
        super().__init__(*args, **kwargs)
        batch = conf.batch_seconds() if run.batch_seconds is None else run.batch_seconds
        pause = conf.batch_pause_seconds() if run.pause_seconds is None else run.pause_seconds
        self.fields["workers"].help_text = f"1 to 32. Now {run.shards}."
        self.fields["batch_seconds"].help_text = f"{LEAST_SECONDS:g} to {MOST_SECONDS:g}. Now {batch:g}."
        self.fields["pause_seconds"].help_text = f"0 to 60. Now {pause:g}."

    def clean(self) -> dict[str, Any]:
        """Hold that something is asked for."""
        found = super().clean() or {}
        if not self.errors and all(found.get(name) is None for name in self.field_order[:-1]):
            raise forms.ValidationError("Write at least one value; empty ones stay as they are.")
        return found
