"""Shared parts of the screens: read-only tables, and detail pages in place of forms."""

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO, cast

from django.contrib import admin, messages
from django.contrib.postgres.fields import ArrayField, RangeField
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.core.paginator import Paginator
from django.db.models import JSONField, Model, QuerySet
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
    """Counts up to a bound, so a page costs the same on ten rows and on ten million."""

    object_list: QuerySet[Any]
    bound = BOUND

    @cached_property
    def count(self) -> int:
        """The number of rows, at most `bound`."""
        return self.object_list.order_by()[: self.bound].count()


if TYPE_CHECKING:
    StockAdmin = admin.ModelAdmin[Any]
else:
    StockAdmin = admin.ModelAdmin


def require(request: HttpRequest, permission: str) -> None:
    """Require one of the product's permissions.

    Raises:
        PermissionDenied: the user lacks `stageapp.<permission>`.
    """
    if not request.user.has_perm(f"stageapp.{permission}"):
        raise PermissionDenied


def actor(request: HttpRequest) -> str:
    """Return the user name for the history."""
    return request.user.get_username()


def page(request: HttpRequest, template: str, **context: Any) -> TemplateResponse:
    """Render one of our own pages inside the admin's frame."""
    name = name_of(context["opts"]) if "opts" in context else ""
    return TemplateResponse(
        request,
        f"admin/stageapp/{template}",
        {**site.each_context(request), "section": name, **context},
    )


def warn_of_lag(request: HttpRequest) -> None:
    """Warn on the next page, after a change, if Redis cannot notify the processes."""
    if lag := fast_copy.lag_warning():
        messages.warning(request, lag)


def name_of(opts: Any) -> str:
    """Return a model's name in the navigation."""
    return NAMES.get(opts.object_name) or str(opts.verbose_name_plural).capitalize()


class ReadOnlyAdmin(StockAdmin):
    """A system-owned table: nobody adds, changes or deletes rows here, superusers included."""

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a facet counts the whole table

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list under its navigation name."""
        title = {"title": name_of(self.opts), "subtitle": None}
        return super().changelist_view(request, {**title, **(extra_context or {})})

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Refuse filters by lists and documents, which Django's list view cannot read from text."""
        with suppress(FieldDoesNotExist):
            if isinstance(
                self.opts.get_field(lookup.split("__")[0]), ArrayField | JSONField | RangeField
            ):
                return False
        return super().lookup_allowed(lookup, value, request)  # type: ignore[arg-type]

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
    """A read-only table of any size: a list page costs the same on ten rows and on ten million."""

    paginator = BoundedPaginator
    change_list_template = "admin/stageapp/bounded_list.html"


class PageAdmin(ReadOnlyAdmin):
    """A read-only table whose rows have our own page instead of a form."""

    page_template: str

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.row_or_404(request, object_id)
        return page(request, self.page_template, opts=self.opts, **self.page_context(request, row))

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """Return the context of the page's template."""
        raise NotImplementedError


# Files for a spreadsheet: what is downloaded, and how large an upload may be.


def download(
    request: HttpRequest, screen: StockAdmin, name: str, write: Callable[[TextIO], Any]
) -> HttpResponse:
    """Return a CSV file to users who may see the screen it copies.

    Raises:
        PermissionDenied: the user may not see the screen.
    """
    if not screen.has_view_permission(request):
        raise PermissionDenied
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y-%m-%d}.csv"'
    write(cast(TextIO, answer))
    return answer
