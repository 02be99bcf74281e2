"""The sample is the same each time, and its own account of itself is true."""

from collections import Counter

import pytest

from stageapp.demo import sample
from stageapp.models.portfolio import Fund, PortfolioCompany
from stageapp.vocabulary import snapshot


def test_the_same_number_of_rows_is_the_same_sample():
    assert list(sample.companies(500)) == list(sample.companies(500))


def test_a_few_spellings_hold_most_rows_and_every_spelling_occurs():
    found = sample.truth(20_000).spellings
    assert len(found) == len(sample.SPELLINGS) == len(sample.MEANING)
    assert sum(rows for _, rows in found.most_common(5)) > found.total() / 2


def test_the_truth_counts_what_a_plan_has_to_find():
    truth = sample.Truth(Counter({"Seed": 3, "seed": 2, "": 4, "Venture Debt": 1}))
    assert (truth.rows, truth.to_change, truth.unknown) == (10, 3, 5)
    assert truth.normalized == Counter({"seed": 5, "": 4, "Venture Debt": 1})


@pytest.mark.django_db
@pytest.mark.parametrize("spelling", sample.MEANING)
def test_the_vocabulary_understands_a_spelling_as_a_person_does(spelling):
    assert snapshot.normalize(spelling).stage == sample.MEANING[spelling]


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [1, 4, 1003])
def test_it_is_stored_over_the_funds_as_it_was_made(rows):
    assert sample.create(rows)
    assert sample.column() == sample.truth(rows).spellings
    assert {fund.name for fund in Fund.objects.all()} == set(sample.FUNDS)
    sizes = [fund.companies.count() for fund in Fund.objects.all()]
    assert sum(sizes) == rows
    assert max(sizes) == -(-rows // len(sample.FUNDS))


@pytest.mark.django_db
def test_companies_that_are_there_are_kept():
    PortfolioCompany.objects.create(
        fund=Fund.objects.create(name="Alpha"), name="Ada", stage="Angel"
    )
    assert not sample.create(100)
    assert sample.column() == Counter({"Angel": 1})
