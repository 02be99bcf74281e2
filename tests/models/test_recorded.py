"""Who, why and when: one set of columns, and one rule for the reason, in Python and in PostgreSQL."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection

from stageapp.models import Verification, WarnPeriod
from stageapp.models.recorded import Recorded, require_actor, require_reason

CONSTRAINED = "SELECT conname FROM pg_constraint WHERE conname LIKE '%_has_a_reason'"


class RefusedError(Exception):
    """What a domain function raises."""


def test_whoever_acts_and_says_why_is_recorded_and_postgresql_wants_the_reason(db):
    named = {
        model
        for model in apps.get_app_config("stageapp").get_models()
        if {"actor", "reason"} <= {field.name for field in model._meta.fields}
    }
    # A verification is no request: it has the time when it began and when it ended.
    assert {model for model in named if not issubclass(model, Recorded)} == {Verification}
    with connection.cursor() as cursor:
        cursor.execute(CONSTRAINED)
        held = {name for (name,) in cursor.fetchall()}
    assert held == {f"{model._meta.model_name}_has_a_reason" for model in named}


def test_a_row_without_a_reason_is_refused_by_the_database_too(db):
    with pytest.raises(IntegrityError, match="warnperiod_has_a_reason"):
        WarnPeriod.objects.create(actor="olga", reason="")


@pytest.mark.parametrize("nothing", ["", " ", "\n\t", "\u00a0"])
def test_a_reason_is_more_than_space(nothing):
    with pytest.raises(RefusedError, match="A reason is needed"):
        require_reason(nothing, RefusedError)
    with pytest.raises(RefusedError, match="An actor is needed"):
        require_actor(nothing, RefusedError)


def test_a_reason_is_kept_without_the_space_around_it():
    assert require_reason(" the auditors\nask \n", RefusedError) == "the auditors\nask"
