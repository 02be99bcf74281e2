"""The project's settings, typed and read at call time."""

import pytest

from stageapp import conf

NUMBERS = {
    "STAGE_MODE_MAX_STALENESS": (conf.mode_max_staleness, 30.0),
    "STAGE_REFRESH_SECONDS": (conf.refresh_seconds, 4.0),
    "STAGE_BATCH_SECONDS": (conf.batch_seconds, 0.15),
    "STAGE_BATCH_PAUSE_SECONDS": (conf.batch_pause_seconds, 0.1),
    "STAGE_PLAN_MAX_AGE_HOURS": (conf.plan_max_age_hours, 24.0),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_a_float_with_its_documented_default(settings, name):
    read, default = NUMBERS[name]
    assert read() == default
    setattr(settings, name, 7)
    assert read() == 7.0
    assert type(read()) is float


@pytest.mark.parametrize(
    "configured, counts",
    [
        ("off", "off"),
        ("warn", "warn"),
        ("enforce", "warn"),
        ("Off", "warn"),
        ("", "warn"),
        (None, "warn"),
    ],
)
def test_the_default_mode_never_exceeds_warn(settings, configured, counts):
    settings.STAGE_VALIDATION_MODE = configured
    assert conf.configured_mode() == str(configured)
    assert conf.default_mode() == counts


def test_targets_are_a_list_of_ones_own(settings):
    assert conf.targets() == ["stageapp.PortfolioCompany.stage"]
    conf.targets().append("another")
    assert conf.targets() == ["stageapp.PortfolioCompany.stage"]
    settings.STAGE_TARGETS = ("a.B.c",)
    assert conf.targets() == ["a.B.c"]


@pytest.mark.parametrize("value, told", [(True, True), (False, False), (1, True)])
def test_switches_are_true_or_false(settings, value, told):
    settings.STAGE_REFRESHER = settings.EMBEDDED = value
    assert conf.refresher_enabled() is told
    assert conf.embedded() is told
