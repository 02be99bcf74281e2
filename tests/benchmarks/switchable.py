"""The product's WSGI application, in which a request may ask to go without its validation."""

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from config.wsgi import application as product
from stageapp.api import validation
from stageapp.api.validation import Encounter

_request = threading.local()
_met: dict[tuple[tuple[str, str], ...], Encounter] = {}
_real = validation.meet


def meet(values: Sequence[tuple[str, str]], caller: str) -> Encounter:
    """Decide, or take the decision from the last time: all that follows from it stays the same."""
    if not _request.without:
        return _real(values, caller)
    key = tuple(values)
    if key not in _met:
        _met[key] = _real(values, caller)
    return _met[key]


validation.meet = meet


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer, without validation where the header says so."""
    _request.without = environ.get("HTTP_X_WITHOUT_VALIDATION") == "1"
    return product(environ, start_response)
