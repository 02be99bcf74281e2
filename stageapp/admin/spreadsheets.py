"""Files for a spreadsheet: what is downloaded, and how large an upload may be."""

from collections.abc import Callable
from typing import Any, TextIO, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from stageapp.admin.screens import StockAdmin


def download(request: HttpRequest, screen: StockAdmin, name: str, write: Callable[[TextIO], Any]) -> HttpResponse:
    """Answer with a CSV file, for whoever may see the screen that it is a copy of.

    Raises:
        PermissionDenied: the user may not see it.
    """
    if not screen.has_view_permission(request):
        raise PermissionDenied
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
    write(cast(TextIO, answer))
    return answer
