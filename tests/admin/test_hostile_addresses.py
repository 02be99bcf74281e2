"""No address of the admin or the API is a server error, whatever its filters, keys and pages say."""

import itertools

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse

from stageapp.admin.site import site
from stageapp.models import Fund

pytestmark = pytest.mark.django_db
VALUES = ["%00", "-1", "99999999999999999999", "x", "%F0%9F%98%80", "%ED%A0%80", "' OR 1=1 --", ""]
LOOKUPS = ["exact", "gte", "year", "month", "in", "isnull", "startswith", "regex", "contains"]
KEYS = ["%00", "-1", "99999999999999999999", "x", "_3A", "%2F"]


@pytest.fixture
def root(client):
    client.raise_request_exception = False
    client.force_login(User.objects.create_superuser("root"))
    return client


@pytest.mark.django_db(transaction=True)  # as on a server: what PostgreSQL refuses ends with itself
@pytest.mark.parametrize("model", site._registry, ids=lambda model: model.__name__)
def test_a_list_answers_any_filter(root, model):
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    fields = [f.name for f in model._meta.concrete_fields if not f.is_relation]
    names = [*fields, *(f"{field}__{lookup}" for field in fields for lookup in LOOKUPS)]
    names += ["q", "p", "o", "e", "all", "_popup", "target", "state", "kind", "key", "consumer"]
    asked = [f"{name}={value}" for name, value in itertools.product(names, VALUES)]
    # Every name with some of the values: the whole product would take minutes.
    broken = [
        query
        for number, query in enumerate(asked)
        if number % len(VALUES) in (0, 1) or number % 7 == 0
        if root.get(f"{address}?{query}").status_code >= 500
    ]
    assert broken == []
    for key in KEYS:
        for page in ("change/", "history/", "delete/"):
            assert root.get(f"{address}{key}/{page}").status_code < 500, (key, page)


def test_a_filter_that_no_row_can_match_is_left_out_with_a_note(root):
    address = reverse("admin:stageapp_run_changelist")
    answer = root.get(f"{address}?actor__exact=%00", follow=True)
    assert answer.redirect_chain == [(address, 302)]
    assert "it was left out" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/api/rows/%00/1/history",
        "/api/rows/stageapp.PortfolioCompany.stage/%00/history",
        "/api/runs/99999999999999999999",
        "/api/runs?before=%00",
        "/api/funds/99999999999999999999/companies",
        "/api/funds/1/companies?q=%00&stage=%00&sector=%00&ordering=%00&page=%00",
        "/api/portfolio/strategies/99999999999999999999",
        "/api/portfolio/strategies?page=%00",
        "/problems/%00",
        "/_ops/stage-validation/mode?x=%00",
    ],
)
def test_the_api_answers_any_address(root, path):
    assert root.get(path).status_code < 500


@pytest.mark.parametrize("encoding", ["idna", "punycode", "utf-16", "rot13", "base64", "nonsense"])
def test_an_encoding_that_is_none_of_a_table_is_refused_in_words(encoding, tmp_path):
    Fund.objects.create(name="Fund I")
    file = tmp_path / "companies.csv"
    file.write_bytes("name,round\nÄcme,Seed\n".encode())
    with pytest.raises(CommandError):
        call_command(
            *("companies", "import", str(file), "--fund", "Fund I", "--encoding", encoding),
            *("--name-column", "name", "--stage-column", "round"),
        )


def test_login_leads_to_the_admin_whatever_the_address_asks_for(client):
    User.objects.create_superuser("ann", password="correct horse")
    sent = {"username": "ann", "password": "correct horse", "next": "//evil.example"}
    answer = client.post(f"{reverse('admin:login')}?next=//evil.example", sent)
    assert answer["Location"] == reverse("admin:index")
    assert client.session.get_expiry_age() == 12 * 3600


def test_a_session_lasts_while_it_is_used_and_is_written_every_ten_minutes(root):
    address = reverse("admin:stageapp_run_changelist")
    root.get(address)
    renewed = root.session["renewed"]
    root.get(address)
    assert root.session["renewed"] == renewed
    session = root.session
    session["renewed"] = renewed - 601
    session.save()
    root.get(address)
    assert root.session["renewed"] >= renewed
    assert root.cookies["sessionid"]["max-age"] == 12 * 3600
