"""/api/portfolio/strategies: stage allocations, as sent and as understood when saved."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import status
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.authentication import scopes_of
from stageapp.api.distribution import Distribution, DistributionField
from stageapp.api.endpoint import Endpoint, validated
from stageapp.api.fields import StrictSerializer, TextField, json_number
from stageapp.api.parsing import PageQuery
from stageapp.models.consumers import Consumer
from stageapp.models.portfolio import Strategy

DEFAULT_NAME = "Untitled strategy"


class StrategyRequest(StrictSerializer):
    """The body of a strategy."""

    name = TextField(max_length=200, default=DEFAULT_NAME)
    stage_allocation = DistributionField()


class StrategyEndpoint(Endpoint):
    """The shared base of the list and the single strategy."""

    label = "strategies"
    permissions = {
        "GET": "stageapp.view_strategy",
        "POST": "stageapp.add_strategy",
        "PUT": "stageapp.change_strategy",
        "PATCH": "stageapp.change_strategy",
        "DELETE": "stageapp.delete_strategy",
    }

    def visible(self) -> QuerySet[Strategy]:
        """Return what the caller may see: consumers their own, staff all, other sessions none."""
        caller: object = self.request.user
        if isinstance(caller, Consumer):
            return Strategy.objects.filter(consumer=caller)
        return (
            Strategy.objects.all()
            if "write" in scopes_of(self.request)
            else Strategy.objects.none()
        )

    def understood(self, distribution: Distribution) -> dict[str, Any]:
        """Return the columns filled by a distribution; raises UnknownStages."""
        met = self.judge(distribution.values)
        shares = distribution.shares(met.decision.meanings)
        return {
            "raw_allocation": distribution.as_sent,
            "allocation": shares.rounded,
            "unallocated": shares.unallocated,
            "vocabulary_version": met.vocabulary.version,
        }

    def answer_with(self, strategy: Strategy, code: int = status.HTTP_200_OK) -> Response:
        """Return one strategy as a response."""
        return self.answer(represent(strategy), status=code, unallocated=strategy.unallocated)


class Strategies(StrategyEndpoint):
    """Save and list strategies."""

    scopes = {"GET": "read", "POST": "write"}
    stage_methods = frozenset({"POST"})
    queries = {"GET": PageQuery}

    def get(self, request: Request) -> Response:
        """List strategies in pages, newest first."""
        pages = PageNumberPagination()
        page = pages.paginate_queryset(self.visible(), request, view=self) or []
        return pages.get_paginated_response([represent(strategy) for strategy in page])

    def post(self, request: Request) -> Response:
        """Save a strategy."""
        sent = validated(StrategyRequest(data=request.data))
        columns = self.understood(sent["stage_allocation"])
        caller: object = request.user
        owner = caller if isinstance(caller, Consumer) else None
        strategy = Strategy.objects.create(name=sent["name"], consumer=owner, **columns)
        return self.answer_with(strategy, status.HTTP_201_CREATED)


class OneStrategy(StrategyEndpoint):
    """Read, replace, change or delete a strategy."""

    scopes = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "write"}
    stage_methods = frozenset({"PUT", "PATCH"})

    def get(self, request: Request, pk: int) -> Response:
        """Return the strategy."""
        return self.answer_with(get_object_or_404(self.visible(), pk=pk))

    def put(self, request: Request, pk: int) -> Response:
        """Replace the strategy."""
        return self._save(pk, validated(StrategyRequest(data=request.data)))

    def patch(self, request: Request, pk: int) -> Response:
        """Change the fields that are sent."""
        return self._save(pk, validated(StrategyRequest(data=request.data, partial=True)))

    def delete(self, request: Request, pk: int) -> Response:
        """Delete the strategy."""
        get_object_or_404(self.visible(), pk=pk).delete()
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _save(self, pk: int, sent: dict[str, Any]) -> Response:
        strategy = get_object_or_404(self.visible(), pk=pk)
        columns = {"name": sent["name"]} if "name" in sent else {}
        if "stage_allocation" in sent:
            columns |= self.understood(sent["stage_allocation"])
        for name, value in columns.items():
            setattr(strategy, name, value)
        strategy.save(update_fields=list(columns))
        return self.answer_with(strategy)


def represent(strategy: Strategy) -> dict[str, Any]:
    """Return a strategy as a response body."""
    allocation = strategy.allocation.items()
    as_sent = [
        {**entry, "weight": weight if isinstance(weight := entry["weight"], int) else float(weight)}
        for entry in strategy.raw_allocation
    ]
    return {
        "id": strategy.pk,
        "name": strategy.name,
        "stage_allocation": {name: json_number(share) for name, share in allocation},
        "unallocated": json_number(strategy.unallocated),
        "as_sent": as_sent,
        "vocabulary_version": strategy.vocabulary_version,
        "created_at": strategy.created_at,
    }
