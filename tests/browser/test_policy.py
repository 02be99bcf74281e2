"""Every page in a real browser: nothing breaks the content security policy, nothing comes from
elsewhere.
"""

import json
import subprocess
import sys

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import path
from pytest_django.live_server_helper import LiveServer

from config import urls as product
from tests import shipped_vocabulary
from tests.admin.addresses import addresses, one_of_each
from tests.admin.conftest import companies, plan, stored  # noqa: F401  fixtures
from tests.processes import PROJECT

DOCS = "/api/docs/"
# Open an operation, fill it in and send it: what a person does there.
CLICKS = {
    DOCS: [
        "#operations-stages-list_stages .opblock-summary-control",
        ".try-out__btn",
        ".execute",
        ".live-responses-table",
    ]
}


def look(site, browser, paths, clicks=CLICKS):
    """Return what each page broke, as the browser saw it."""
    asked = {
        "address": site.url,
        "session": browser.cookies["sessionid"].value,
        "paths": paths,
        "clicks": clicks,
    }
    run = subprocess.run(
        [sys.executable, "-m", "tests.browser.policy"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.fixture
def site(transactional_db, _nothing_remembered):
    """Serve the product from this process, once the settings are those of a test."""
    shipped_vocabulary.ensure()
    server = LiveServer("127.0.0.1")
    yield server
    server.stop()


@pytest.fixture
def operator(admin_user):
    browser = Client()
    browser.force_login(admin_user)
    return browser


def pages(browser):
    """Return one address of every kind of page of the admin."""
    answers = {}
    for address, name in addresses().items():
        if name not in answers.values() and "logout" not in address:
            answer = browser.get(address)
            if answer.status_code == 200 and answer["Content-Type"].startswith("text/html"):
                answers[address] = name
    return list(answers)


def test_no_page_of_the_admin_breaks_the_policy(site, operator, plan):  # noqa: F811
    one_of_each(plan)
    found = look(site, operator, pages(operator))
    assert len(found) > 40
    assert {address: what for address, what in found.items() if what} == {}


def test_the_docs_are_read_and_tried_out_without_breaking_the_policy(site, operator):
    found = look(site, operator, [DOCS, "/problems/", "/problems/throttled"])
    assert {address: what for address, what in found.items() if what} == {}


def inline(request):
    return HttpResponse("<body><script>1</script><img src=http://127.0.0.1:9/x></body>")


urlpatterns = [path("inline", inline), *product.urlpatterns]


@pytest.mark.urls("tests.browser.test_policy")
def test_a_page_that_breaks_it_would_be_seen(site, operator):
    found = look(site, operator, ["/inline"])["/inline"]
    assert any("VIOLATION script-src" in what for what in found)
    assert any("VIOLATION img-src" in what for what in found)
