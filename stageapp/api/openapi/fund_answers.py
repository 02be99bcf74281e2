"""Response bodies about funds: simulations, allocations, strategies, companies."""

from drf_spectacular.utils import extend_schema_field
from rest_framework.serializers import (
    CharField,
    DateTimeField,
    DictField,
    FloatField,
    IntegerField,
    ListField,
    URLField,
)

from stageapp.api.openapi.answers import Judged, shares
from stageapp.documents.body import Body, share

CENTS = r"^-?[0-9]+\.[0-9]{2}$"


@extend_schema_field({"type": "string", "pattern": CENTS})
class Cents(CharField):
    """An amount with two decimals."""


class Histogram(Body):
    """Counts of simulated runs between adjacent edges."""

    edges = ListField(child=FloatField())
    counts = ListField(child=IntegerField(min_value=0))


class PeriodRates(Body):
    """Annual rates if everything came back after this many years."""

    years = IntegerField()
    p25 = FloatField()
    p50 = FloatField()
    p75 = FloatField()


class StageOutcome(Body):
    """One stage: its simulated mean multiple next to the closed form."""

    stage = CharField()
    weight = share()
    companies = IntegerField(min_value=1)
    mean_multiple = FloatField()
    standard_error = FloatField(allow_null=True)
    expected_multiple = FloatField()
    holding_years = FloatField()
    expected_irr = FloatField()


class Simulation(Judged):
    """A fund's simulated outcome: multiples of its size, annual rates."""

    fund_size = Cents()
    runs = IntegerField()
    seed = IntegerField()
    unallocated = share(help_text="held as cash")
    mean = FloatField()
    standard_error = FloatField(allow_null=True)
    expected = FloatField(help_text="closed-form mean")
    percentiles = DictField(child=FloatField(), help_text="p5 … p95")
    probability_1x = share()
    probability_3x = share()
    histogram = Histogram()
    irr = DictField(child=FloatField(), help_text="p5 … p95")
    irr_by_holding_period = PeriodRates(many=True)
    stages = StageOutcome(many=True)


class StagePlan(Body):
    """One stage's amounts."""

    stage = CharField()
    initial = Cents()
    need = Cents()
    reserve = Cents()


class Allocation(Judged):
    """A fund's allocation; initials, reserves, surplus and unallocated sum to fund_size exactly."""

    fund_size = Cents()
    reserve_ratio = share()
    stages = StagePlan(many=True)
    surplus = Cents()
    unallocated_initial = Cents()
    unallocated_reserve = Cents()
    coverage = share(allow_null=True, help_text="reserve divided by need; null if there is no need")


class SentEntry(Body):
    """A stage and its weight as sent."""

    stage = CharField(allow_blank=True)
    weight = FloatField()


class StoredStrategy(Body):
    """A strategy as sent, and as understood when it was saved."""

    id = IntegerField()
    name = CharField()
    stage_allocation = shares()
    unallocated = share()
    as_sent = SentEntry(many=True)
    vocabulary_version = IntegerField()
    created_at = DateTimeField()


class SavedStrategy(StoredStrategy, Judged):
    """One strategy, with the validator's findings."""


class Company(Body):
    """A company: its stage as stored, and its meaning."""

    id = IntegerField()
    name = CharField()
    stage = CharField(allow_blank=True)
    canonical_stage = CharField(allow_null=True)
    sector = CharField(allow_blank=True)
    updated_at = DateTimeField()


class Page(Body):
    """One page of a list."""

    count = IntegerField(min_value=0)
    next = URLField(allow_null=True)
    previous = URLField(allow_null=True)


class CompanyPage(Page, Judged):
    """Companies, with the validator's findings about the filter."""

    results = Company(many=True)


class StrategyPage(Page):
    """Strategies, newest first."""

    results = StoredStrategy(many=True)
