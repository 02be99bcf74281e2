"""Make valid what the document calls valid but cannot tell in full; loaded by Schemathesis
(SCHEMATHESIS_HOOKS).

OpenAPI has no words for: weights that together make 1, decimals of binary fractions, a reason that
is more than blanks, a percentage that only `enforce` has, and stages that are known. Only cases
that are meant to be accepted are touched; what is meant to be refused goes out as it was made.
"""

import os
from typing import Any

import schemathesis
from schemathesis import Case, GenerationMode, HookContext

FIELDS = ("stage_distribution", "stage_allocation")
KNOWN = ("seed", "Series-A", "series_b", "Séries C ", "Pre Seed", "growth")


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Mend the body of a case that is meant to be accepted."""
    if (
        case.meta is None
        or case.meta.generation.mode is not GenerationMode.POSITIVE
        or not isinstance(case.body, dict)
    ):
        return
    for name in FIELDS:
        if case.body.get(name):
            case.body[name] = known(summed(case.body[name]))
    if isinstance(case.body.get("reason"), str):
        case.body["reason"] = case.body["reason"].strip() or "because"
    if case.body.get("mode") in ("off", "warn"):
        case.body.pop("percent", None)
    if isinstance(case.body.get("fund_size"), float):
        case.body["fund_size"] = round(case.body["fund_size"], 2)


def summed(sent: Any) -> Any:
    """Return the distribution with weights that make 1."""
    weights = list(sent.values()) if isinstance(sent, dict) else [entry["weight"] for entry in sent]
    total = sum(weights)
    fitting = [weight / total for weight in weights] if total else [1 / len(weights)] * len(weights)
    if isinstance(sent, dict):
        return dict(zip(sent, fitting, strict=True))
    return [{**entry, "weight": weight} for entry, weight in zip(sent, fitting, strict=True)]


def known(sent: Any) -> Any:
    """Return the distribution with stages that are known, where unknown ones are refused."""
    if os.environ.get("SCHEMATHESIS_MODE") != "enforce":
        return sent
    if isinstance(sent, list):
        return [{**entry, "stage": KNOWN[index % len(KNOWN)]} for index, entry in enumerate(sent)]
    weights = list(sent.values())[: len(KNOWN)]
    return summed(dict(zip(KNOWN, weights, strict=False)))
