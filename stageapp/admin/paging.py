"""Pages over tables of any size: how many rows there are is never counted beyond a bound."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.db.models import QuerySet

if TYPE_CHECKING:
    StockPaginator = Paginator[Any]
else:
    StockPaginator = Paginator

BOUND = 10_000  # rows that can be paged through; past them a search or a filter is the way


class BoundedPaginator(StockPaginator):
    """Counts to the bound and stops, so that a page costs the same on ten rows and on ten million."""

    object_list: QuerySet[Any]
    bound = BOUND

    @cached_property
    def count(self) -> int:
        """Return the number of rows, at most `bound`."""
        return self.object_list.order_by()[: self.bound].count()
