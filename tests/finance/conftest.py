"""Assumptions of the tests' own: one power law, one lognormal, numbers easy to check by hand."""

from decimal import Decimal

import pytest

from stageapp.finance.assumptions import Lognormal, PowerLaw, StageAssumptions


@pytest.fixture
def assumptions():
    large = Decimal(4_000_000)
    return {
        "seed": StageAssumptions("seed", 0.6, PowerLaw(2.5, 1.0, 100.0), 7.0, Decimal(1_000_000)),
        "series_a": StageAssumptions("series_a", 0.5, PowerLaw(1.0, 1.0, 20.0), 6.0, large),
        "growth": StageAssumptions("growth", 0.1, Lognormal(1.5, 0.4), 3.5, Decimal(20_000_000)),
    }
