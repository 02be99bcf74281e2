"""Confirm pages: every change is a GET page that says what will happen, then a POST with a
reason.
"""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from stageapp.admin.screens import page, warn_of_lag

LONGEST_REASON = 2000  # characters


class ReasonForm(forms.Form):
    """Asks why."""

    reason = forms.CharField(
        max_length=LONGEST_REASON,
        label="Reason",
        help_text="Kept in the history, under your name.",
        widget=forms.Textarea(attrs={"rows": 3, "autofocus": True}),
    )


def confirmed(
    request: HttpRequest,
    perform: Callable[..., object],
    *,
    refusals: type[Exception],
    back: str,
    done: str,
    form: forms.Form | None = None,
    template: str = "confirm.html",
    followed: bool = False,
    **context: Any,
) -> HttpResponse:
    """Ask for a reason on GET; on POST perform with it, and go `back` with what came of it.

    `template` is the page that asks, where it shows more than words. `form` asks for more than the
    reason; `perform` takes its answers by name. `refusals` is the named error of the domain
    function; its text is shown to the user. `followed` says that processes follow the change, so
    that Redis ought to tell them.
    """
    form = form or ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return page(request, template, form=form, back=back, **context)
    try:
        perform(**form.cleaned_data)
    except refusals as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, done)
        if followed:
            warn_of_lag(request)
    return HttpResponseRedirect(back)
