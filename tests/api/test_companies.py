import time

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection

from stageapp.models import Fund, PortfolioCompany
from stageapp.vocabulary import snapshot

ROWS = [
    ("Acme", "Seed", "Fintech"),
    ("Bolt", "series-a ", "fintech"),
    ("Core", "Series A", "Health"),
    ("Dove", "series_a", ""),
    ("Echo", "wat", "Health"),
    ("Fox 100%", "", "AI"),
    ("Fox 1000", "Série A (extension)", "AI"),
]


@pytest.fixture
def fund(db):
    fund = Fund.objects.create(name="One")
    for name, stage, sector in ROWS:
        fund.companies.create(name=name, stage=stage, sector=sector)
    Fund.objects.create(name="Two").companies.create(name="Other", stage="Seed")
    return fund


@pytest.fixture
def ask(client_of, consumer, fund, in_mode):
    """Return a function that asks for companies in a mode and returns their first names, or the
    problem.
    """
    client = client_of(consumer)

    def call(mode="warn", pk=fund.pk, **query):
        in_mode(mode)
        response = client.get(f"/api/funds/{pk}/companies", query)
        body = response.json()
        return (
            [c["name"].split()[0] for c in body["results"]] if response.status_code == 200 else body
        )

    return call


@pytest.mark.parametrize("raw", ["series_a", "Series A", "SERIES-A", " series a"])
def test_any_spelling_finds_all_spellings(raw, ask):
    assert ask(stage=raw)[:3] == ["Bolt", "Core", "Dove"]


def test_what_the_filter_finds_is_what_the_rows_mean(ask, fund):
    for stage in ("seed", "series_a", "growth"):
        meant = [n.split()[0] for n, raw, _ in ROWS if snapshot.normalize(raw).stage == stage]
        assert ask(stage=stage) == meant


def test_the_filter_finds_the_same_before_and_after_a_normalization(ask, fund):
    before = ask(stage="Series A")
    for company in fund.companies.all():
        stage = snapshot.normalize(company.stage).stage
        if stage:
            fund.companies.filter(pk=company.pk).update(stage=stage)
    assert ask(stage="Series A") == before
    assert ask(stage="wat") == ["Echo"]


@pytest.mark.parametrize("mode", ["off", "warn"])
def test_an_unknown_value_matches_exactly(mode, ask):
    assert ask(mode, stage="wat") == ["Echo"]
    assert ask(mode, stage="WAT") == []
    assert ask(mode, stage="") == ["Fox"]


def test_an_unknown_value_is_refused_in_enforce(ask):
    found = ask("enforce", stage="wat")
    assert found["type"] == "/problems/unknown-stage"
    assert found["errors"][0]["parameter"] == "stage"


def test_several_stages_mean_any_of_them(ask):
    assert ask(stage=["Seed", "wat"]) == ["Acme", "Echo"]
    assert [e["value"] for e in ask("enforce", stage=["seed", "wat", "wot"])["errors"]] == [
        "wat",
        "wot",
    ]


def test_no_filter_lists_the_whole_fund_without_judgement(ask, client, fund):
    assert len(ask()) == len(ROWS)
    response = client.get(f"/api/funds/{fund.pk}/companies")
    assert "X-Stage-Mode" not in response


def test_other_filters_and_orderings(ask):
    assert ask(sector="FINTECH") == ["Acme", "Bolt"]
    assert ask(q="fox 100%") == ["Fox"]
    assert ask(q="100_") == []
    assert ask(q="OL", stage="Series A") == ["Bolt"]
    assert ask(ordering="-name")[:1] == ["Fox"]
    assert ask(ordering="sector")[0] == "Dove"


def test_shows_the_stage_as_stored_and_what_it_means(client_of, consumer, fund):
    found = client_of(consumer).get(f"/api/funds/{fund.pk}/companies").json()["results"]
    assert [(c["stage"], c["canonical_stage"]) for c in found[:2]] == [
        ("Seed", "seed"),
        ("series-a ", "series_a"),
    ]
    assert (found[4]["stage"], found[4]["canonical_stage"]) == ("wat", None)


@pytest.mark.parametrize(
    "query,name",
    [
        ({"stage": "x" * 257}, "stage"),
        ({"stage": ["seed"] * 21}, "stage"),
        ({"stage": "\0"}, "stage"),
        ({"q": "\0"}, "q"),
        ({"q": ""}, "q"),
        ({"q": ["a", "b"]}, "q"),
        ({"sector": "x" * 201}, "sector"),
        ({"ordering": "fund__name"}, "ordering"),
        ({"page": "-1"}, "page"),
        ({"page": "9" * 5000}, "page"),
        ({"fund": 2}, "fund"),
    ],
)
def test_refuses_what_is_no_query(query, name, ask):
    found = ask(**query)
    assert found["type"] == "/problems/invalid-request"
    assert {e["parameter"].split("/")[0] for e in found["errors"]} == {name}


@pytest.mark.parametrize("more", [{"pk": 0}, {"pk": 10**30}, {"page": "0"}, {"page": "2"}])
def test_answers_404_for_no_such_fund_or_page(more, ask):
    assert ask(**more)["type"] == "/problems/not-found"


def test_pages_are_whole_and_without_overlap(client_of, consumer):
    fund = Fund.objects.create(name="Large")
    PortfolioCompany.objects.bulk_create(
        PortfolioCompany(fund=fund, name="same", stage=("Seed", "SEED", "growth")[n % 3])
        for n in range(330)
    )
    client, address, seen = (
        client_of(consumer),
        f"/api/funds/{fund.pk}/companies?stage=seed&ordering=name",
        [],
    )
    while address:
        page = client.get(address).json()
        assert page["count"] == 220
        seen += [company["id"] for company in page["results"]]
        address = page["next"]
    assert len(seen) == len(set(seen)) == 220


def test_fifty_thousand_rows_are_filtered_within_half_a_second(client_of, consumer):
    fund = Fund.objects.create(name="Large")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO stageapp_portfoliocompany (fund_id, name, stage, sector, updated_at) "
            "SELECT %s, 'company ' || n, CASE WHEN n %% 2 = 0 THEN 'series a' || repeat(' ', n "
            "%% 60) ELSE 'spelling ' || n %% 500 END, '', now() FROM generate_series(1, 50000) n",
            [fund.pk],
        )
    client = client_of(consumer)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        body = client.get(f"/api/funds/{fund.pk}/companies", {"stage": "Series A"}).json()
        times.append(time.perf_counter() - started)
        assert body["count"] == 25_000
    assert min(times) < 0.5, times


def test_a_session_sees_companies_as_in_the_admin_only_with_the_permission(fund, client):
    user = User.objects.create_user("someone", is_staff=True)
    client.force_login(user)
    assert client.get(f"/api/funds/{fund.pk}/companies").status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_portfoliocompany"))
    assert client.get(f"/api/funds/{fund.pk}/companies").json()["count"] == len(ROWS)
