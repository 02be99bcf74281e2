"""Authentication and scopes: consumers by token, operators by session."""

from typing import TYPE_CHECKING

from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from stageapp.models.consumers import Consumer

if TYPE_CHECKING:  # the framework's views import this file
    from rest_framework.views import APIView

CHALLENGE = 'Token realm="stage API"'
_KEYWORD = "token"
_REFUSED = "The token is unknown, expired or revoked. Ask the operators for a new one."


class ConsumerTokenAuthentication(BaseAuthentication):
    """`Authorization: Token …`, looked up by SHA-256 because only that digest is stored."""

    def authenticate(self, request: Request) -> tuple[Consumer, None] | None:
        """Return the consumer, or None if the request has no token.

        Raises:
            AuthenticationFailed: the token is malformed, unknown, expired or revoked.
        """
        keyword, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
        if keyword.lower() != _KEYWORD:
            return None
        consumer = (
            Consumer.objects.filter(token_sha256=Consumer.digest(token.strip()), revoked_at=None)
            .filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()))
            .first()
        )
        if consumer is None:
            raise AuthenticationFailed(_REFUSED)
        return consumer, None

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge for a 401."""
        return CHALLENGE


class HasScope(BasePermission):
    """Permits a method if the caller has its declared scope; refuses a method without one.

    A session has the scope read; a staff session also has write and ops.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Whether the caller may use this method of the view."""
        if request.method not in view.allowed_methods:
            return True  # 405 follows
        scope = getattr(view, "scopes", {}).get(
            "GET" if request.method == "HEAD" else request.method
        )
        return scope is not None and scope in scopes_of(request)


def scopes_of(request: Request) -> set[str]:
    user: object = request.user
    if isinstance(user, Consumer):
        return set(user.scopes)
    if getattr(user, "is_staff", False):
        return {"read", "write", "ops"}
    return {"read"} if request.user.is_authenticated else set()


def caller_of(request: Request) -> str:
    """Return the caller's name, which is the source of its values and decides its canary bucket."""
    user: object = request.user
    return user.name if isinstance(user, Consumer) else f"session:{request.user.get_username()}"


def is_consumer(request: Request) -> bool:
    """Whether the caller authenticated with a token."""
    user: object = request.user
    return isinstance(user, Consumer)
