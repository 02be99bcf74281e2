"""Preview what a decision would change."""

import datetime
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

from django.db.models import Sum
from django.utils import timezone

from stageapp import conf
from stageapp.models.consumers import ConsumerSighting
from stageapp.models.unknowns import UnknownEntry
from stageapp.targets import targets
from stageapp.targets.errors import NormalizationError
from stageapp.targets.values import distinct_values
from stageapp.unknowns.decisions import why_not
from stageapp.unknowns.examples import identity
from stageapp.vocabulary.snapshot import Snapshot, load

SHOWN_VALUES = 20


@dataclass
class Preview:
    """The impact of a decision; `refused` lists the values that it cannot apply to, and why."""

    changes_rows: bool
    rows: dict[str, int] = field(default_factory=dict)  # target → rows that hold one of the values
    values: list[tuple[str, int]] = field(
        default_factory=list
    )  # the most frequent raw values and their rows
    requests: dict[str, int] = field(default_factory=dict)  # consumer → requests of yesterday
    refused: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what could not be read

    @property
    def rows_total(self) -> int:
        """The rows over all targets."""
        return sum(self.rows.values())

    @property
    def requests_total(self) -> int:
        """Yesterday's requests over all consumers."""
        return sum(self.requests.values())


def preview(
    entries: Collection[UnknownEntry], *, stage: str = "", code: str = "", source: str = ""
) -> Preview:
    """Return the impact of mapping to `stage`, declaring with `code`, or ignoring (neither).

    Rows change only in a later run, and only if the values come to mean a stage. A decision for
    one source affects only that consumer's requests, and only the rows of a target with that
    source.
    """
    effect = Preview(changes_rows=bool(stage))
    keys = {entry.key for entry in entries}
    if stage or code:
        why = [(str(entry), why_not(entry, names_stage=bool(stage))) for entry in entries]
        effect.refused = [(name, text) for name, text in why if text]
    day = timezone.now().date() - datetime.timedelta(days=1)
    sent = ConsumerSighting.objects.filter(key__in=keys, day=day, outcome="unknown").order_by()
    if source:
        sent = sent.filter(consumer=source)
    effect.requests = dict(
        sent.values_list("consumer").annotate(total=Sum("count")).order_by("-total")
    )
    _count_rows(effect, keys, source, load())
    return effect


def _count_rows(effect: Preview, keys: set[str], source: str, meaning_of: Snapshot) -> None:
    values: Counter[str] = Counter()
    for label in conf.targets():
        try:
            target = targets.resolve(label)
            held = distinct_values(
                target,
                besides=target.canonical(meaning_of.labels),
                seconds=conf.settings.drift_timeout_seconds,
            )
        except NormalizationError as problem:
            effect.problems.append(str(problem))
            continue
        mine = Counter[str]()
        for row_source, raw, rows in held:
            if source in ("", row_source) and identity(raw, meaning_of.normalize(raw)) in keys:
                mine[raw] += rows
        effect.rows[label] = mine.total()
        values.update(mine)
    effect.values = values.most_common(SHOWN_VALUES)
