"""People, and rows for them to look at."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from stageapp.models import Fund, PortfolioCompany
from stageapp.normalization.plan import make_plan
from stageapp.traffic import windows
from tests.unknowns.conftest import _no_counts, entry, sent, stored

__all__ = ["_no_counts", "entry", "sent", "stored"]

TARGET = "stageapp.PortfolioCompany.stage"


@pytest.fixture(autouse=True)
def _no_traffic():
    """Let no test find what another one's requests left in this process's windows."""
    windows.buffer.forget()
    yield
    windows.buffer.forget()


@pytest.fixture
def post(django_capture_on_commit_callbacks):
    """Return a function that posts, and commits as far as a test can."""

    def send(browser, *args, **kwargs):
        with django_capture_on_commit_callbacks(execute=True):
            return browser.post(*args, **kwargs)

    return send


@pytest.fixture
def staff_with(db):
    """Return a function that makes a staff user with some of the product's permissions."""

    def make(*codenames, name="sam"):
        user = User.objects.create_user(name, is_staff=True)
        found = Permission.objects.filter(
            content_type__app_label="stageapp", codename__in=codenames
        )
        assert {permission.codename for permission in found} == set(codenames)
        user.user_permissions.set(found)
        return user

    return make


@pytest.fixture
def browser_of():
    """Return a function that opens a browser in which a user is logged in."""

    def open_browser(user, **more):
        browser = Client(**more)
        browser.force_login(user)
        return browser

    return open_browser


@pytest.fixture
def browser_with(staff_with, browser_of):
    """Return a function that opens a browser for a new staff user with some permissions."""
    return lambda *codenames, **more: browser_of(staff_with(*codenames, **more))


@pytest.fixture
def root(db):
    """Return a superuser."""
    return User.objects.create_superuser("root")


@pytest.fixture
def companies(db):
    """Return companies with canonical, outdated, unknown and hostile stages."""
    fund = Fund.objects.create(name="Fund I")
    stages = ["seed", "Seed", "Series-A ", "Series A", "???", "<script>alert(1)</script>", ""]
    return [
        PortfolioCompany.objects.create(fund=fund, name=f"Company {number}", stage=stage)
        for number, stage in enumerate(stages)
    ]


@pytest.fixture
def plan(companies):
    """Return a plan over the companies."""
    return make_plan(TARGET, actor="ann")
