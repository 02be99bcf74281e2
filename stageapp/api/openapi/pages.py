"""GET /api/schema/ and /api/docs/: the document, and a page to read and try it. Neither asks for credentials."""

from typing import Any

from csp.constants import SELF
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.endpoint import Endpoint
from stageapp.api.openapi.document import document


class Schema(Endpoint):
    """The OpenAPI document."""

    schema = None  # it does not describe itself
    authentication_classes: list[Any] = []
    permission_classes: list[type[BasePermission]] = []

    def get(self, request: Request) -> Response:
        """Return it as JSON."""
        return Response(document())


@require_safe
@csp_update({"img-src": [SELF, "data:"]})  # the icons of Swagger UI's own style sheet
def docs(request: HttpRequest) -> HttpResponse:
    """Show the document with Swagger UI, from our own server."""
    return render(request, "api/docs.html")
