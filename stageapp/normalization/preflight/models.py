"""Find what Django does on a model's save and a run, which writes SQL, does not."""

from collections.abc import Iterator
from typing import Any, TypeAlias

from django.db import connection, models
from django.db.models.signals import post_save, pre_save

from stageapp.targets.findings import Finding, tells, warns
from stageapp.targets.targets import Target, field_of

Model: TypeAlias = type[models.Model]

_SIGNALS = {"pre_save": pre_save, "post_save": post_save}


def findings(target: Target) -> Iterator[Finding]:
    """Yield what a save of the target's model does and a run does not."""
    model, field = field_of(target.label)
    if target.links:
        below, above = model._meta.label, field.model._meta.label
        yield tells(
            f"{below} inherits the column from {above}",
            f"rows of {above} that are not {below} are left alone; seal and guard cannot "
            "tell them apart and are refused",
        )
    yield from _times(target, model, field.model)
    for name in ("save", "save_base"):
        by = next(cls for cls in model.__mro__ if name in vars(cls))
        if by is not models.Model:
            yield warns(
                f"{by.__module__}.{by.__qualname__} has its own {name}()",
                "a run does not call it; whatever it does for a changed row has to be "
                "done another way" + _remedy(target),
            )
    for name, signal in _SIGNALS.items():
        if signal.has_listeners(model):
            yield warns(
                f"{name} of {model._meta.label} has receivers",
                (
                    "a run sends no signals: caches, search indexes and other receivers "
                    "do not see the changed rows"
                )
                + _remedy(target),
            )


def _times(target: Target, model: Model, owner: Model) -> Iterator[Finding]:
    """Yield the date and time columns that a save sets automatically and a run does not."""
    for field in model._meta.concrete_fields:
        column = connection.ops.quote_name(str(field.column))
        same_table = field.model is owner
        if not getattr(field, "auto_now", False) or (same_table and column == target.touched):
            continue
        means = f"a run does not change it; {_how(field, same_table)}"
        yield tells(f"Saving a row sets {field.name} (auto_now)", means)


def _how(field: "models.Field[Any, Any]", same_table: bool) -> str:
    if same_table and isinstance(field, models.DateTimeField):
        return f"with touch={field.name} in STAGE_TARGETS the run sets it too"
    return "touch can only set a date-time column of the same table, and this is not one"


def _remedy(target: Target) -> str:
    if target.touched:
        return ""
    return "; with touch=FIELD in STAGE_TARGETS they can find the rows by their timestamp"
