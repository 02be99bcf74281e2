"""Filters of the unknown queue."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownCount
from stageapp.models.vocabulary import REASONS
from stageapp.unknowns.queue import STATES

KINDS = {
    "traffic": "requests",
    "import": "imports",
    "table": "stored rows",
    "bypass": "written past the API",
}


class StateFilter(admin.SimpleListFilter):
    """The state; what is open, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer the states, and all of them."""
        return [*((state, state) for state in STATES), ("all", "all")]

    def choices(self, changelist: Any) -> Any:
        """Offer no choice beside these: `open` is what stands without one."""
        for state, label in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: state})
            yield {"selected": self.state == state, "query_string": query, "display": label}

    @property
    def state(self) -> str:
        """Return the chosen state."""
        value = self.value()
        return value if value in (*STATES, "all") else "open"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries in the state."""
        return queryset if self.state == "all" else queryset.filter(Q(("state", self.state)))


class ReasonFilter(admin.SimpleListFilter):
    """Why a value is unknown."""

    title = "reason"
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every reason, by its short name."""
        return [(reason, reason.replace("_", " ")) for reason in REASONS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries of this reason."""
        return queryset.filter(reason=self.value()) if self.value() in REASONS else queryset


class KindFilter(admin.SimpleListFilter):
    """Where a value was seen."""

    title = "seen in"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer every kind."""
        return list(KINDS.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the entries that were seen there."""
        kind = self.value()
        if kind == "traffic":
            sent = ConsumerSighting.objects.filter(key=OuterRef("key"), outcome="unknown")
            return queryset.filter(Exists(sent))
        if kind in KINDS:
            return queryset.filter(Exists(UnknownCount.objects.filter(entry=OuterRef("pk"), kind=kind)))
        return queryset
