"""The table of settings: read from Django's settings at call time, and from the environment."""

import math

import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from stageapp import conf

OF_THE_APPLICATION = [row for row in conf.ROWS if not row.site]


def attribute(row):
    return next(name for name in dir(conf.Settings) if vars_of(name) is row)


def vars_of(name):
    return next((vars(base)[name] for base in conf.Settings.__mro__ if name in vars(base)), None)


@pytest.mark.parametrize("row", OF_THE_APPLICATION, ids=lambda row: row.name)
def test_a_project_that_sets_nothing_gets_the_default(row):
    with override_settings():
        if hasattr(django_settings, row.name):
            delattr(django_settings, row.name)
        value = getattr(conf.settings, attribute(row))
    assert (value, type(value)) == (row.default, type(row.default))


@pytest.mark.parametrize(
    "name, given, read",
    [
        ("STAGE_BATCH_SECONDS", 7, 7.0),
        ("STAGE_TRUSTED_PROXIES", 2, 2),
        ("STAGE_TARGETS", ("a.B.c",), ["a.B.c"]),
        ("STAGE_REFRESHER", 1, True),
        ("STAGE_REFRESHER", False, False),
        ("STAGE_BASE_URL", "https://x.example", "https://x.example"),
        ("STAGE_HOLD", {"replica_lag": 1}, conf.settings.hold | {"replica_lag": 1.0}),
    ],
)
def test_what_is_set_is_read_with_the_type_of_the_default(settings, name, given, read):
    setattr(settings, name, given)
    row = next(row for row in conf.ROWS if row.name == name)
    value = getattr(conf.settings, attribute(row))
    assert (value, type(value)) == (read, type(read))


@pytest.mark.parametrize(
    "name, text, value",
    [
        ("STAGE_BATCH_SECONDS", "0.1", 0.1),
        ("STAGE_BATCH_SECONDS", " 0.1\n", 0.1),
        ("STAGE_GATE_WARN_DAYS", "10", 10),
        ("STAGE_TWO_PERSON_RULE", "1", True),
        ("STAGE_TWO_PERSON_RULE", "True", True),
        ("STAGE_AUTO_DOWNGRADE", "0", False),
        ("STAGE_AUTO_DOWNGRADE", "false", False),
        ("DEBUG", "off", False),
        ("LOG_LEVEL", "debug", "DEBUG"),
        ("STAGE_TARGETS", "a.B.c?where=x = 1, d.E.f,", ["a.B.c?where=x = 1", "d.E.f"]),
        ("STAGE_HOLD", "replica_lag=30, disk_free=0", {"replica_lag": 30.0, "disk_free": 0.0}),
        ("STAGE_BACKUP_KEY", "$not-a-name", "$not-a-name"),
    ],
)
def test_a_variable_of_the_environment_is_read_by_the_type_of_its_default(name, text, value):
    assert conf.from_environment({name: text}) == {name: value}


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_variable_is_an_unset_one(text):
    assert conf.from_environment({row.name: text for row in conf.ROWS}) == {}


@pytest.mark.parametrize(
    "name, text, allowed",
    [
        ("STAGE_BATCH_SECONDS", "fast", "more than 0, at most 0.2, in seconds"),
        ("STAGE_BATCH_SECONDS", "0.3", "more than 0, at most 0.2, in seconds"),
        ("STAGE_BATCH_SECONDS", "nan", "more than 0, at most 0.2, in seconds"),
        ("STAGE_GATE_WARN_DAYS", "7.5", "a whole number, 1 to 29, in days"),
        ("STAGE_TWO_PERSON_RULE", "ture", "1 or 0"),
        ("SECURE_SSL_REDIRECT", "ture", "1 or 0"),
        ("STAGE_EMBEDDED_POSTGRES", "17", "18 or 16"),
        ("LOG_LEVEL", "loud", "DEBUG or INFO or WARNING or ERROR or CRITICAL"),
        ("STAGE_HOLD", "replica_lag", "of replica_lag, lock_waiters"),
        ("STAGE_HOLD", "moon=1", "of replica_lag, lock_waiters"),
        ("STAGE_HOLD", "replica_lag=-1", "0 or more"),
    ],
)
def test_a_malformed_variable_is_named_with_its_value_and_what_is_allowed(name, text, allowed):
    with pytest.raises(ImproperlyConfigured) as refusal:
        conf.from_environment({name: text})
    assert str(refusal.value).startswith(f"{name} is {text!r}. Set it to ")
    assert allowed in str(refusal.value)


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
    assert conf.settings.validation_mode == str(configured)
    assert conf.default_mode() == counts


def test_targets_are_a_list_of_ones_own(settings):
    assert conf.targets() == ["stageapp.PortfolioCompany.stage"]
    conf.settings.targets.append("another")
    assert conf.targets() == ["stageapp.PortfolioCompany.stage"]
    settings.STAGE_TARGETS = ("a.B.c?source=d",)
    assert conf.targets() == ["a.B.c"]
    assert conf.target_options("a.B.c") == {"source": "d"}


def test_the_table_says_what_each_setting_is():
    for heading, rows in conf.sections():
        assert heading
        for row in rows:
            assert row.meaning.endswith("."), row.name
            assert row.unit or math.isinf(row.most) or row.most in (1, 65535), row.name
