"""Confirmed changes of the vocabulary: with a reason, on the version that was previewed, told with the new one."""

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from stageapp import vocabulary
from stageapp.admin.confirm import ReasonForm
from stageapp.admin.screens import actor
from stageapp.models.vocabulary import VocabularyVersion


def curates(request: HttpRequest) -> bool:
    """Tell whether this user may change the vocabulary."""
    return request.user.has_perm("stageapp.curate_vocabulary")


class CurationForm(ReasonForm):
    """Asks why, and brings back which version the user had looked at."""

    expected_version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def __init__(self, data: Mapping[str, Any] | None = None) -> None:
        """Begin with the version that is the newest now."""
        super().__init__(data, initial={"expected_version": vocabulary.newest_version()})

    @property
    def answers(self) -> dict[str, Any]:
        """Return what `carried_out` wants to know."""
        return {"seen": self.cleaned_data["expected_version"], "reason": self.cleaned_data["reason"]}

    @classmethod
    def again(cls, asked: "CurationForm") -> "CurationForm":
        """Return the form for another look: the same reason, on the version that is the newest now."""
        return cls({"reason": asked.data.get("reason", ""), "expected_version": vocabulary.newest_version()})


def carried_out(
    request: HttpRequest,
    perform: Callable[..., Any],
    refusal: type[Exception],
    *,
    seen: int,
    reason: str,
    **values: Any,
) -> bool:
    """Perform a change that was previewed and confirmed; tell what came of it, and return whether it was done.

    `perform` takes the values, the actor and the reason, and returns the new vocabulary version, if it made one;
    `refusal` is its named error, whose text is shown to the user. `seen` is the version of the preview.
    """
    try:
        with vocabulary.unchanged_since(seen):
            made = perform(**values, actor=actor(request), reason=reason)
    except (vocabulary.ChangedMeanwhile, refusal) as why_not:
        messages.error(request, str(why_not))
        return False
    _tell(request, made if isinstance(made, VocabularyVersion) else None)
    return True


def _tell(request: HttpRequest, version: VocabularyVersion | None) -> None:
    if version is None:
        messages.success(request, "Done. The vocabulary is as it was.")
        return
    shown = reverse("admin:stageapp_vocabularyversion_change", args=[version.pk])
    told = format_html('Done: <a href="{}">vocabulary version {}</a>. Stored rows are as they were.', shown, version.pk)
    if request.user.has_perm("stageapp.plan_run"):
        make = reverse("admin:stageapp_plan_make")
        told = format_html('{} <a href="{}">Make a plan</a> to see what a run would change now.', told, make)
    messages.success(request, told)
