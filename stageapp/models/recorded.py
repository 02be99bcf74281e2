"""What somebody did: who, why and when."""

from collections.abc import Callable

from django.db import models
from django.db.models import Q

# PostgreSQL's part of the rule below; it also holds for what is written past it.
HAS_A_REASON = models.CheckConstraint(condition=~Q(reason=""), name="%(class)s_has_a_reason")


def require_reason(reason: str, refused: Callable[[str], Exception]) -> str:
    """Return the reason without the space around it; raise `refused` where nothing is left."""
    if not (why := reason.strip()):
        raise refused("A reason is needed: say why. It is kept in the history.")
    return why


def require_actor(actor: str, refused: Callable[[str], Exception]) -> None:
    """Raise `refused` where nobody is named."""
    if not actor.strip():
        raise refused("An actor is needed: say who does this. It is kept in the history.")


class Recorded(models.Model):
    """A row that says who made it, and why."""

    actor = models.CharField(max_length=200)
    reason = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        default_permissions = ("view",)
        ordering = ["-id"]
        constraints = [HAS_A_REASON]

    def __str__(self) -> str:
        return f"{self.actor}, {self.created_at:%F %T}: {self.reason[:60]}"
