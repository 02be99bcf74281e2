"""Lists over tables of any size."""

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from stageapp.admin.screens import BoundedPaginator
from stageapp.models import Batch, Fund, NormalizationLog, PortfolioCompany

pytestmark = pytest.mark.django_db

LOG = reverse("admin:stageapp_auditentry_changelist")
COMPANIES = reverse("admin:stageapp_portfoliocompany_changelist")


@pytest.fixture
def log(plan):
    """Two batches of three entries."""
    for number in (1, 2):
        batch = Batch.objects.create(
            run=plan.run,
            direction="forward",
            number=number,
            last_key="3",
            scanned=3,
            changed=3,
            seconds=0.1,
            places=(0, 2),
        )
        NormalizationLog.objects.create(batch=batch, keys=[1, 2, 3], old="Seed ", new="seed")
    return plan.run


def results(page):
    return list(page.context["cl"].result_list)


def test_the_log_is_found_by_a_rows_whole_key(log, browser_with):
    browser = browser_with("view_auditentry")
    assert [entry.row_key for entry in results(browser.get(LOG, {"q": "2"}))] == ["2", "2"]
    assert results(browser.get(LOG, {"q": "22"})) == []


def test_the_log_is_newest_first_and_filtered_by_run(log, browser_with):
    browser = browser_with("view_auditentry")
    found = results(browser.get(LOG, {"run": log.pk}))
    assert [entry.batch.number for entry in found] == [2, 2, 2, 1, 1, 1]
    assert results(browser.get(LOG, {"run": log.pk + 1})) == []
    assert results(browser.get(LOG, {"run": "x' OR 1"})) == []


def test_values_are_shown_with_their_spaces(log, browser_with):
    assert "&#x27;Seed &#x27;" in browser_with("view_auditentry").get(LOG).text


def test_no_list_of_the_log_counts_the_whole_table(log, browser_with):
    browser = browser_with("view_auditentry")
    for query in ({}, {"q": "2"}, {"run": log.pk}, {"_facets": "True"}):
        with CaptureQueriesContext(
            connection,
        ) as asked:
            browser.get(LOG, query)
        counts = [q["sql"] for q in asked if "COUNT(" in q["sql"] and "auditentry" in q["sql"]]
        assert counts
        assert all("LIMIT" in sql for sql in counts)


def test_a_list_that_reaches_the_bound_says_so(log, browser_with, monkeypatch):
    browser = browser_with("view_auditentry")
    assert "The first" not in browser.get(LOG).text
    monkeypatch.setattr(BoundedPaginator, "bound", 4)
    page = browser.get(LOG)
    assert page.context["cl"].result_count == 4
    assert "The first 4 are listed" in page.text


def test_companies_are_found_by_name_and_show_what_their_stage_means(companies, browser_with):
    browser = browser_with("view_portfoliocompany")
    page = browser.get(COMPANIES, {"q": "company 2"})
    assert [company.name for company in results(page)] == ["Company 2"]
    assert "series_a" in page.text
    assert "unknown: junk" in browser.get(COMPANIES, {"q": "Company 5"}).text


def test_companies_are_filtered_by_fund(companies, browser_with):
    browser = browser_with("view_portfoliocompany", "view_fund")
    other = Fund.objects.create(name="Fund II")
    moved = PortfolioCompany.objects.create(fund=other, name="Moved", stage="seed")
    assert len(results(browser.get(COMPANIES, {"fund__id__exact": companies[0].fund_id}))) == len(
        companies
    )
    assert results(browser.get(COMPANIES, {"fund__id__exact": other.pk})) == [moved]


def test_a_company_is_edited_by_who_has_the_right(companies, browser_with):
    browser = browser_with("view_portfoliocompany", "change_portfoliocompany", "view_fund")
    company = companies[0]
    change = reverse("admin:stageapp_portfoliocompany_change", args=[company.pk])
    browser.post(
        change, {"fund": company.fund_id, "name": "Renamed", "stage": "seed", "sector": ""}
    )
    assert PortfolioCompany.objects.get(pk=company.pk).name == "Renamed"
    assert Permission.objects.filter(codename="change_auditentry").count() == 0
