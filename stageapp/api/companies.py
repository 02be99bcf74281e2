"""GET /api/funds/{id}/companies: a fund's companies, filtered by what their stage means."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.distribution import MAX_STAGE_LENGTH
from stageapp.api.endpoint import Endpoint
from stageapp.api.fields import TextField
from stageapp.api.parsing import PageQuery
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.vocabulary import snapshot
from stageapp.vocabulary.snapshot import Meaning

ORDERINGS = [
    f"{sign}{name}"
    for name in ("id", "name", "stage", "sector", "updated_at")
    for sign in ("", "-")
]
MAX_STAGES = 20


class CompaniesQuery(PageQuery):
    """The query string; `stage` may be repeated and then means any of them."""

    stage = serializers.ListField(
        child=TextField(max_length=MAX_STAGE_LENGTH, allow_blank=True),
        max_length=MAX_STAGES,
        required=False,
    )
    sector = TextField(max_length=200, required=False)
    q = TextField(max_length=200, required=False)
    ordering = serializers.ChoiceField(ORDERINGS, default="id")


class Companies(Endpoint):
    """List the companies of a fund."""

    label = "companies"
    scopes = {"GET": "read"}
    permissions = {"GET": "stageapp.view_portfoliocompany"}
    stage_methods = frozenset({"GET", "HEAD"})
    queries = {"GET": CompaniesQuery}

    def get(self, request: Request, pk: int) -> Response:
        """Return one page of companies."""
        companies = filtered(get_object_or_404(Fund, pk=pk).companies.all(), self.query)
        if asked := self.query.get("stage"):
            met = self.judge([("?stage", raw) for raw in asked])
            companies = companies.filter(
                stage__in=spellings(companies, asked, met.decision.meanings)
            )
        pages = PageNumberPagination()
        rows = pages.paginate_queryset(companies, request, view=self) or []
        page = pages.get_paginated_response([represent(company) for company in rows])
        return self.answer(dict(page.data))


def filtered(
    companies: QuerySet[PortfolioCompany], query: Mapping[str, Any]
) -> QuerySet[PortfolioCompany]:
    """Filter companies by sector and text and order them as requested, ties by id."""
    if "sector" in query:
        companies = companies.filter(sector__iexact=query["sector"])
    if "q" in query:
        companies = companies.filter(name__icontains=query["q"])
    return companies.order_by(query["ordering"], "id")


def spellings(
    companies: QuerySet[PortfolioCompany], asked: Sequence[str], meanings: Sequence[Meaning]
) -> list[str]:
    """Return the stored spellings of the requested stages; an unknown value matches itself.

    This reads the stored spellings, not the aliases, because text rules understand more of them.
    """
    wanted = {meaning.stage for meaning in meanings if meaning.stage is not None}
    stored = companies.order_by().values_list("stage", flat=True).distinct()
    known = [raw for raw in stored if snapshot.normalize(raw).stage in wanted]
    return known + [
        raw for raw, meaning in zip(asked, meanings, strict=True) if meaning.stage is None
    ]


def represent(company: PortfolioCompany) -> dict[str, Any]:
    """Return a company as a response body: its stage as stored, and its meaning."""
    return {
        "id": company.pk,
        "name": company.name,
        "stage": company.stage,
        "canonical_stage": snapshot.normalize(company.stage).stage,
        "sector": company.sector,
        "updated_at": company.updated_at,
    }
