"""The base of every resource: scopes, the one validation step, and its counts."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from rest_framework import serializers, status
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from stageapp.api import throttles, validation
from stageapp.api.authentication import caller_of, is_consumer
from stageapp.api.errors import LengthRequired
from stageapp.api.parsing import NoQuery, read_query
from stageapp.api.validation import Encounter
from stageapp.consumers import contacts, sightings
from stageapp.infrastructure import events, metrics
from stageapp.traffic import windows

_MALFORMED = frozenset({400, 411, 413, 415})


class Endpoint(APIView):
    """A resource of the API.

    `label` is its name in the traffic windows, `scopes` the scope of each method, `permissions` what
    a method takes besides of a session's user: the permission that the admin asks for, `stage_methods`
    the methods whose bodies or parameters hold stages, `queries` the query string of each method,
    `credentials` the OpenAPI `security` schemes if they are not a token or a session.
    """

    label: ClassVar[str] = ""
    scopes: ClassVar[Mapping[str, str]] = {}
    stage_methods: ClassVar[frozenset[str]] = frozenset()
    permissions: ClassVar[Mapping[str, str]] = {}
    queries: ClassVar[Mapping[str, type[serializers.BaseSerializer[Any]]]] = {}
    credentials: ClassVar[Sequence[Mapping[str, list[str]]]] = ()
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    metadata_class = None
    caller: str = ""  # known once the request is let in
    query: Mapping[str, Any] = {}
    met: Encounter | None = None

    @classmethod
    def resource(cls) -> str:
        """Return the name under which its callers are recorded."""
        return cls.label or cls.__name__.lower()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check format, credentials, rate, scope and query before the body is read."""
        # The charset of a Content-Type must not decide how the query string is read.
        request._request.encoding = "utf-8"
        super().initial(request, *args, **kwargs)
        self.caller = caller_of(request) if request.user.is_authenticated else ""
        if "HTTP_TRANSFER_ENCODING" in request.META:
            raise LengthRequired
        method = "GET" if request.method == "HEAD" else str(request.method)
        needed = self.permissions.get(method)
        if needed and not (is_consumer(request) or request.user.has_perm(needed)):
            raise PermissionDenied(f"This requires the permission {needed}.")
        if method in self.allowed_methods:  # else 405 follows
            self.query = read_query(self.queries.get(method, NoQuery), request.query_params)

    def perform_authentication(self, request: Request) -> None:
        """Identify the caller, and refuse callers that exceed their rate."""
        try:
            super().perform_authentication(request)
        except AuthenticationFailed:
            throttles.admit_stranger(request.META)
            raise
        if request.user.is_authenticated:
            throttles.admit(caller_of(request))
        else:
            throttles.admit_stranger(request.META)

    def judge(self, values: Sequence[tuple[str, str]]) -> Encounter:
        """Decide on (pointer, raw value) pairs in the caller's effective mode.

        Raises:
            UnknownStages: the mode is `enforce` and a value is unknown.
        """
        try:
            met = self.met = validation.meet(values, self.caller)
        except Exception as error:
            events.validator_failed(endpoint=self.label, error=type(error).__name__)
            raise
        if met.decision.outcome == "rejected":
            raise validation.UnknownStages(met)
        return met

    def answer(
        self,
        body: dict[str, Any],
        *,
        status: int = status.HTTP_200_OK,
        unallocated: Decimal | None = None,
    ) -> Response:
        """Return the response, with the mode's additions if the request was validated."""
        if self.met is None:
            return Response(body, status)
        if self.met.decision.mode != "off":
            body = {**body, "stage_validation": validation.block(self.met, unallocated)}
        return Response(body, status, headers=validation.headers(self.met))

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Response:
        """Count the request by its outcome, for every response."""
        answered: Response = super().finalize_response(request, response, *args, **kwargs)
        answered.headers.setdefault("Cache-Control", "no-store")  # an answer belongs to its caller
        if self.caller:
            contacts.note(consumer=self.caller, endpoint=self.resource(), meta=request.META)
        if request.method in self.stage_methods:
            self._count(answered.status_code)
        return answered

    def _count(self, code: int) -> None:
        """Count the request for windows, Prometheus and sightings: here, and only here."""
        met, label = self.met, self.label
        failed = code >= status.HTTP_500_INTERNAL_SERVER_ERROR
        if met is None:
            if failed or code in _MALFORMED:
                mode = validation.effective(self.caller)
                windows.count(
                    endpoint=label,
                    mode=mode,
                    verdict="malformed",
                    rejected=not failed,
                    error=failed,
                )
                outcome = "error" if failed else "malformed"
                metrics.request_counted(endpoint=label, mode=mode, outcome=outcome)
            return
        decision, reasons = met.decision, {unknown.reason for unknown in met.decision.unknowns}
        windows.count(
            endpoint=label,
            mode=decision.mode,
            verdict=decision.verdict,
            rejected=decision.outcome == "rejected",
            error=failed,
            slow=met.slow,
            reasons=reasons,
        )
        metrics.request_counted(
            endpoint=label,
            mode=decision.mode,
            outcome="error" if failed else decision.outcome,
            seconds=met.seconds,
            reasons=reasons,
        )
        sightings.note(consumer=self.caller, endpoint=label, decision=decision)
        if reasons:
            meta = self.request.META
            validation.note(endpoint=label, consumer=self.caller, decision=decision, meta=meta)


def validated(serializer: serializers.BaseSerializer[Any]) -> dict[str, Any]:
    """Return the validated fields; raises ValidationError."""
    serializer.is_valid(raise_exception=True)
    data: dict[str, Any] = serializer.validated_data
    return data
