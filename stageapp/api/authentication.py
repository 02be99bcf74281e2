"""Who calls, and what it may do: consumers by token, operators by their session."""

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
    """`Authorization: Token …`; only the SHA-256 of a token is stored, so that is what is looked
    up.
    """

    def authenticate(self, request: Request) -> tuple[Consumer, None] | None:
        """Return the consumer, or None when the caller brings no token at all.

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
        """Return the challenge of a 401."""
        return CHALLENGE


class HasScope(BasePermission):
    """Permits a method for which the view declares a scope that the caller has; declares none,
    permits none.

    A session has the scope read, and as staff also write and ops.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        """Tell whether the caller may use this method of the view."""
        if request.method not in view.allowed_methods:
            return True  # 405 follows
        scope = getattr(view, "scopes", {}).get(
            "GET" if request.method == "HEAD" else request.method
        )
        return scope is not None and scope in scopes_of(request)


def scopes_of(request: Request) -> set[str]:
    """Return the scopes that the caller has."""
    user: object = request.user
    if isinstance(user, Consumer):
        return set(user.scopes)
    if getattr(user, "is_staff", False):
        return {"read", "write", "ops"}
    return {"read"} if request.user.is_authenticated else set()


def caller_of(request: Request) -> str:
    """Return the caller's name: it is the source of what it sends, and decides its bucket in a
    canary.
    """
    user: object = request.user
    return user.name if isinstance(user, Consumer) else f"session:{request.user.get_username()}"


def is_consumer(request: Request) -> bool:
    """Tell whether the caller came with a token."""
    user: object = request.user
    return isinstance(user, Consumer)
