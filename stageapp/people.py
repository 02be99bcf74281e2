"""Who acts, and what they may do; edges say it, decisions ask it."""

from dataclasses import dataclass
from typing import Protocol

from stageapp.models.permissions import PERMISSIONS

EVERYTHING = frozenset(PERMISSIONS)
_EDGES = ("session:", "cli:")


@dataclass(frozen=True)
class Person:
    """Somebody who acts. `may` holds the product's permissions, e.g. `override_gate`."""

    name: str
    may: frozenset[str] = frozenset()


class _User(Protocol):
    def get_username(self) -> str: ...
    def has_perm(self, perm: str) -> bool: ...


def person_of(user: _User, name: str = "") -> Person:
    """Return a user of the site as a person; `name` stands in the history in the place of the username."""
    may = frozenset(codename for codename in PERMISSIONS if user.has_perm(f"stageapp.{codename}"))
    return Person(name or user.get_username(), may)


def same_person(one: str, other: str) -> bool:
    """Tell whether two actors are one: `ann`, `session:ann` and `cli:ann` are."""
    return _bare(one) == _bare(other)


def _bare(actor: str) -> str:
    for edge in _EDGES:
        actor = actor.removeprefix(edge)
    return actor.strip().casefold()
