"""POST /_ops/stage-validation/auto-downgrade: a signed alert takes back `enforce`."""

from typing import Any

from django.db import Error
from rest_framework.request import Request
from rest_framework.response import Response

from stageapp.api.endpoint import Endpoint
from stageapp.api.errors import Problem, Unavailable
from stageapp.infrastructure import network
from stageapp.mode.store import ModeError
from stageapp.webhook import deliveries
from stageapp.webhook.authenticators import NotVerified, Sent
from stageapp.webhook.notification import Unreadable


class NotBelieved(Problem):
    """The delivery does not prove who sent it, or when."""

    status_code, default_code, title = (
        401,
        "delivery_not_believed",
        "The delivery could not be authenticated",
    )
    default_detail = (
        "Sign the raw body, with a current timestamp and a secret that both sides share. "
        "The log says what was wrong."
    )

    def headers(self) -> dict[str, str]:
        """Return the challenge that a 401 must have (RFC 9110)."""
        return {"WWW-Authenticate": 'Bearer realm="stage webhook"'}


class NoNotification(Problem):
    """The body is not an Alertmanager notification."""

    status_code, default_code, title = (
        400,
        "no_notification",
        "Not an Alertmanager notification",
    )


class AutoDowngrade(Endpoint):
    """The endpoint for alerts."""

    scopes = {"POST": ""}
    credentials = (
        {"webhookSignature": []},
        {"alertmanagerSignature": []},
        {"alertmanagerBearer": []},
    )
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def perform_authentication(self, request: Request) -> None:
        """Leave authentication to the body's signature, and throttle nobody.

        An alert must get through regardless of other callers at its address, and Alertmanager does
        not retry soon after a 429.
        """

    def post(self, request: Request) -> Response:
        """Take back `enforce` if an alert labeled `action="downgrade"` fires; never raise it."""
        raw = request._request
        headers = {name.lower(): value for name, value in raw.headers.items()}
        sent = Sent(headers, raw.body, network.client_address(raw.META))
        try:
            outcome = deliveries.receive(sent)
        except NotVerified:
            raise NotBelieved from None
        except Unreadable as error:
            raise NoNotification(str(error)) from None
        except (Error, ModeError) as error:
            # What Alertmanager repeats soon; raises Unavailable.
            detail = (
                "The database does not answer; send it again."
                if isinstance(error, Error)
                else str(error)
            )
            raise Unavailable(detail) from error
        change = outcome.change
        return Response({"result": outcome.result, "version": change.version if change else None})
