"""Actions: what a person may do to a run, a backup, a target, the rollout.

An action is offered as a button, asks for a reason on GET after saying what will happen, and is
carried out by POST.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from stageapp.admin.screens import actor, page, require, warn_of_lag
from stageapp.people import person_of

LONGEST_REASON = 2000  # characters

S = TypeVar("S")  # what an action is done to
# Called as perform(subject, person, reason=…, and what the form asks besides).
Perform = Callable[..., object]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=LONGEST_REASON,
        label="Reason",
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
    )


def ask_reason(request: HttpRequest, subject: object) -> forms.Form:
    return ReasonForm(request.POST or None)


@dataclass(frozen=True)
class Action(Generic[S]):
    """One thing to do to a subject.

    `refusal` returns why it cannot be done as the subject is now, for a user of this name; empty if
    it can. `form` asks for more than a reason. `refused_by` is the domain's own error, whose text
    is shown to the user. `followed` means that processes follow the change, so Redis should notify
    them.
    """

    label: str
    permission: str
    perform: Perform
    explanation: str | Callable[[HttpRequest, S], str]
    done: str
    refused_by: type[Exception]
    refusal: Callable[[S, str], str] = lambda subject, name: ""
    form: Callable[[HttpRequest, S], forms.Form] = ask_reason
    danger: bool = False
    followed: bool = False

    def offered(self, request: HttpRequest, subject: S) -> bool:
        """Whether this user may do it now."""
        may = request.user.has_perm(f"stageapp.{self.permission}")
        return may and not self.refusal(subject, actor(request))

    def confirm(
        self,
        request: HttpRequest,
        subject: S,
        *,
        back: str,
        template: str = "confirm.html",
        **context: Any,
    ) -> HttpResponse:
        """Ask for a reason on GET; on POST do it, and go `back` with what came of it.

        Raises:
            PermissionDenied: the user lacks the permission.
        """
        require(request, self.permission)
        if why := self.refusal(subject, actor(request)):
            messages.error(request, why)
            return HttpResponseRedirect(back)
        form = self.form(request, subject)
        if request.method != "POST" or not form.is_valid():
            said = self.explanation
            shown = {
                "explanation": said if isinstance(said, str) else said(request, subject),
                "title": self.label,
                "verb": self.label,
                "danger": self.danger,
                **context,
            }
            return page(request, template, form=form, back=back, **shown)
        try:
            self.perform(subject, person_of(request.user), **form.cleaned_data)
        except self.refused_by as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, self.done)
            if self.followed:
                warn_of_lag(request)
        return HttpResponseRedirect(back)


def buttons(
    request: HttpRequest,
    actions: Mapping[str, Action[S]],
    subject: S,
    address: Callable[[str], str] = lambda name: "",
) -> list[dict[str, Any]]:
    """Return the buttons of a table of actions for this user, as the subject is now."""
    return [
        {"name": name, "label": action.label, "danger": action.danger, "url": address(name)}
        for name, action in actions.items()
        if action.offered(request, subject)
    ]
