"""What simulations and reserves assume about stages; not part of the vocabulary."""

from functools import partial
from typing import Any

from django.db import models

from stageapp.models.recorded import HAS_A_REASON, Recorded

_figure = partial(models.DecimalField, max_digits=24, decimal_places=18)


class AssumptionChange(Recorded):
    """All assumptions about one stage, from one change on; the newest row is in force. Append-only.

    `stage` is a slug, not a foreign key: the record outlives a deleted stage, and is in force again
    if the stage comes back.
    """

    DISTRIBUTIONS = [("power_law", "power law"), ("lognormal", "lognormal")]
    FIGURES = (
        "failure_rate",
        "distribution",
        "alpha",
        "minimum_multiple",
        "maximum_multiple",
        "median_multiple",
        "sigma",
        "holding_years",
        "average_check",
        "follow_on_share",
        "follow_on_multiple",
    )

    stage = models.CharField(max_length=40)
    version = models.PositiveIntegerField(help_text="1 is the first of its stage")
    failure_rate = _figure(help_text="share of companies that return nothing, 0 to 1")
    distribution = models.CharField(max_length=10, choices=DISTRIBUTIONS)
    alpha = _figure(null=True, blank=True, help_text="power law: tail exponent")
    minimum_multiple = _figure(null=True, blank=True, help_text="power law: smallest multiple")
    maximum_multiple = _figure(null=True, blank=True, help_text="power law: cap on the multiple")
    median_multiple = _figure(null=True, blank=True, help_text="lognormal: median multiple")
    sigma = _figure(null=True, blank=True, help_text="lognormal: sigma of the logarithm")
    holding_years = _figure(help_text="mean years from check to exit")
    average_check = models.DecimalField(
        max_digits=18,
        decimal_places=2,
        help_text="one check, in the fund's currency",
    )
    follow_on_share = _figure(help_text="share of companies that get a follow-on, 0 to 1")
    follow_on_multiple = _figure(help_text="a follow-on, in initial checks")

    class Meta(Recorded.Meta):
        constraints = [
            HAS_A_REASON,
            models.UniqueConstraint(
                fields=["stage", "version"], name="one_assumption_change_per_version"
            ),
        ]

    def __str__(self) -> str:
        return f"assumptions about {self.stage}, version {self.version}"

    @property
    def figures(self) -> dict[str, Any]:
        """The assumptions, by name."""
        return {name: getattr(self, name) for name in self.FIGURES}
