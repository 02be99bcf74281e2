"""The sample portfolio: funds whose companies' stages are written as people write them.

Every spelling comes with its true meaning, so that a plan can be checked against it.
"""

import random
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.contrib.auth import get_user_model
from django.db import transaction

from stageapp.consumers import tokens
from stageapp.models.consumers import Consumer
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.portfolio.imports import Company, copy_companies

SEED = 20
FUNDS = (
    "Alder Early Fund",
    "Birch Growth Fund",
    "Cedar Seed Fund",
    "Dogwood Ventures I",
    "Elm Opportunity Fund",
)

# (spelling, what it means or None, weight): many rows hold few spellings, and a few rows hold many.
SPELLINGS: tuple[tuple[str, str | None, int], ...] = (
    ("Seed", "seed", 180),
    ("Series A", "series_a", 160),
    ("Seed Round", "seed", 90),
    ("Series B", "series_b", 85),
    ("series a", "series_a", 60),
    ("seed", "seed", 45),
    ("Pre-Seed", "pre_seed", 42),
    ("Series C", "series_c", 40),
    ("Seed Funding", "seed", 30),
    ("SERIES A", "series_a", 24),
    ("Series-A", "series_a", 20),
    ("Pre Seed", "pre_seed", 18),
    ("Series D", "series_d", 16),
    ("series_a", "series_a", 14),
    ("Series A ", "series_a", 12),
    ("Growth", "growth", 12),
    ("Growth Equity", "growth", 9),
    ("Series B Round", "series_b", 9),
    ("preseed", "pre_seed", 8),
    ("Series E", "series_e_plus", 7),
    ("Série A", "series_a", 6),
    ("Series F", "series_e_plus", 5),
    ("Round B", "series_b", 4),
    ("Séries\u00a0B", "series_b", 3),
    ("Amorçage", "seed", 3),
    ("Series A2", "series_a", 3),
    ("Seed+", "seed", 2),
    ("シード", "seed", 1),
    ("Series E+", "series_e_plus", 1),
    ("", None, 24),
    ("Venture Debt", None, 16),
    ("Private Equity", None, 14),
    ("N/A", None, 10),
    ("Acquired", None, 9),
    ("Bridge", None, 8),
    ("Series A/B", None, 6),
    ("Pre-Series A", None, 6),
    ("Grant", None, 5),
    ("Equity Crowdfunding", None, 4),
    ("Post-IPO Equity", None, 3),
    ("#REF!", None, 2),
    ("Stage 2", None, 2),
)
MEANING = {spelling: stage for spelling, stage, _ in SPELLINGS}
_FIRST = (
    "Amber",
    "Bright",
    "Copper",
    "Delta",
    "Echo",
    "Fern",
    "Granite",
    "Harbor",
    "Indigo",
    "Juniper",
)
_SECOND = (
    "Analytics",
    "Biotech",
    "Circuits",
    "Energy",
    "Foods",
    "Health",
    "Labs",
    "Logistics",
    "Robotics",
    "Works",
)
_SECTORS = ("Climate", "Consumer", "Fintech", "Health", "Industry", "Software")


@dataclass(frozen=True)
class Truth:
    """What a plan over a column with these spellings must find."""

    spellings: Counter[str]

    @property
    def rows(self) -> int:
        return self.spellings.total()

    @property
    def to_change(self) -> int:
        """The number of rows whose spelling means a stage and is not canonical."""
        return sum(n for raw, n in self.spellings.items() if MEANING[raw] not in (None, raw))

    @property
    def unknown(self) -> int:
        """The number of rows whose spelling means no stage."""
        return sum(n for raw, n in self.spellings.items() if MEANING[raw] is None)

    @property
    def normalized(self) -> Counter[str]:
        """The column as it must be after a run: stages, and unknown spellings unchanged."""
        after: Counter[str] = Counter()
        for raw, rows in self.spellings.items():
            after[MEANING[raw] or raw] += rows
        return after


def companies(rows: int) -> Iterator[Company]:
    """Yield companies, always the same ones for the same number of rows."""
    chance = random.Random(SEED)  # noqa: S311  sample data, no secret
    raws, weights = [raw for raw, _, _ in SPELLINGS], [weight for _, _, weight in SPELLINGS]
    for number, raw in enumerate(chance.choices(raws, weights, k=rows), start=1):
        name = f"{_FIRST[number % 10]} {_SECOND[number // 10 % 10]} {number}"
        yield name, raw, _SECTORS[number % 6]


def truth(rows: int) -> Truth:
    """Return the truth about a sample of this many rows."""
    return Truth(Counter(stage for _, stage, _ in companies(rows)))


def create(rows: int) -> bool:
    """Store the sample over several funds unless companies exist; return whether it was stored."""
    if PortfolioCompany.objects.exists():
        return False
    with transaction.atomic():
        made, per_fund = companies(rows), -(-rows // len(FUNDS))
        for name in FUNDS:
            fund, _ = Fund.objects.get_or_create(name=name)
            copy_companies(fund, islice(made, per_fund))
    return True


def column() -> Counter[str]:
    """Return how often each spelling occurs in the column now."""
    return Counter(
        PortfolioCompany.objects.order_by()
        .values_list("stage", flat=True)
        .iterator(chunk_size=5000)
    )


# Who may enter the demo: an administrator and an API consumer, each with a secret that is shown
# once.

ADMIN = "admin"
CONSUMER = "demo"


def admin_password() -> str | None:
    """Create the administrator and return its password; None if it exists (password unchanged)."""
    users = get_user_model()._default_manager
    if users.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    return password


def consumer_token(*scopes: str) -> str | None:
    """Create the consumer and return its token; None if it exists, as the token is not stored."""
    if Consumer.objects.filter(name=CONSUMER).exists():
        return None
    return tokens.create(CONSUMER, scopes or ("read", "write"))[1]
