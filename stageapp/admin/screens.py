"""What the screens have in common: system-owned tables are read-only, and a page of our own
shows one row.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from stageapp.admin.site import NAMES, site
from stageapp.mode import fast_copy

# Pages over tables of any size: how many rows there are is never counted beyond a bound.

if TYPE_CHECKING:
    StockPaginator = Paginator[Any]
else:
    StockPaginator = Paginator

BOUND = 10_000  # rows that can be paged through; past them a search or a filter is the way


class BoundedPaginator(StockPaginator):
    """Counts to the bound and stops, so that a page costs the same on ten rows and on ten
    million.
    """

    object_list: QuerySet[Any]
    bound = BOUND

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most `bound`."""
        return self.object_list.order_by()[: self.bound].count()


if TYPE_CHECKING:
    StockAdmin = admin.ModelAdmin[Any]
else:
    StockAdmin = admin.ModelAdmin


def require(request: HttpRequest, permission: str) -> None:
    """Stop a request whose user lacks one of the product's permissions.

    Raises:
        PermissionDenied: the user lacks `stageapp.<permission>`.
    """
    if not request.user.has_perm(f"stageapp.{permission}"):
        raise PermissionDenied


def actor(request: HttpRequest) -> str:
    """Return the name that goes into the history."""
    return request.user.get_username()


def page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """Answer with a page of our own inside the admin's frame."""
    name = name_of(context["opts"]) if "opts" in context else ""
    return TemplateResponse(
        request,
        f"admin/stageapp/{template}",
        {**site.each_context(request), "section": name, **context},
    )


def warn_of_lag(request: HttpRequest) -> None:
    """Say on the next page, after a change that processes follow, if Redis cannot tell them of
    it.
    """
    if lag := fast_copy.lag_warning():
        messages.warning(request, lag)


def name_of(opts: Any) -> str:
    """Return the name that a model has in the navigation."""
    return NAMES.get(opts.object_name) or str(opts.verbose_name_plural).capitalize()


class ReadOnlyAdmin(StockAdmin):
    """A table that belongs to the system: nobody adds, changes or deletes a row here, superusers
    included.
    """

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a facet counts the whole table

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under the name that it has in the navigation."""
        title = {"title": name_of(self.opts), "subtitle": None}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse."""
        return False

    def row_or_404(self, request: HttpRequest, object_id: str) -> Any:
        """Return the row, for a user who may see it.

        Raises:
            PermissionDenied: the user may not.
            Http404: there is no such row.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        return row


class BoundedAdmin(ReadOnlyAdmin):
    """A read-only table of any size: a page of its list costs the same on ten rows and on ten
    million.
    """

    paginator = BoundedPaginator
    change_list_template = "admin/stageapp/bounded_list.html"


class PageAdmin(ReadOnlyAdmin):
    """A read-only table whose rows have a page of our own in the place of a form."""

    page_template: str

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one row."""
        row = self.row_or_404(request, object_id)
        return page(request, self.page_template, opts=self.opts, **self.page_context(request, row))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return what the page's template needs."""
        raise NotImplementedError


# Files for a spreadsheet: what is downloaded, and how large an upload may be.


def download(
    request: HttpRequest, screen: StockAdmin, name: str, write: Callable[[TextIO], Any]
) -> HttpResponse:
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
