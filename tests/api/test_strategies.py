import pytest
from django.contrib.auth.models import Permission, User

from stageapp.models import Strategy
from stageapp.vocabulary import snapshot
from tests.api.calls import JSON

PATH = "/api/portfolio/strategies"


@pytest.fixture(autouse=True)
def _warn(in_mode):
    in_mode("warn")


@pytest.fixture
def caller(client_of, consumer):
    return client_of(consumer)


def save(client, allocation, **more):
    return client.post(PATH, {"stage_allocation": allocation, **more}, content_type=JSON)


def test_keeps_what_was_sent_and_what_it_meant(caller, consumer):
    made = save(caller, {"Séries A": 75, "wat\u2028": 25}, name="Early").json()
    strategy = Strategy.objects.get(pk=made["id"])
    assert strategy.consumer == consumer
    assert strategy.name == made["name"] == "Early"
    assert strategy.raw_allocation == [
        {"stage": "Séries A", "weight": 75},
        {"stage": "wat\u2028", "weight": 25},
    ]
    assert strategy.allocation == {"series_a": 0.75}
    assert (strategy.unallocated, strategy.vocabulary_version) == (0.25, snapshot.newest_version())


def test_is_read_as_it_was_saved(caller):
    made = save(caller, {"seed": 1}, name=" Early ").json()
    found = caller.get(f"{PATH}/{made['id']}").json()
    del made["stage_validation"]
    assert found == made
    assert found["name"] == " Early "


def test_lists_the_newest_first_in_pages(caller):
    for n in range(103):
        save(caller, {"seed": 1}, name=str(n))
    first = caller.get(PATH).json()
    assert first["count"] == 103
    assert [found["name"] for found in first["results"][:2]] == ["102", "101"]
    assert len(caller.get(PATH, {"page": 2}).json()["results"]) == 3
    assert caller.get(PATH, {"page": 3}).status_code == 404
    assert caller.get(PATH, {"page": "x" * 5000}).status_code == 400


def test_replaces_the_whole(caller):
    at = f"{PATH}/{save(caller, {'seed': 1}, name='Old').json()['id']}"
    response = caller.put(at, {"stage_allocation": {"Growth": 1}}, content_type=JSON)
    assert response["X-Stage-Warning"] == "retired-spelling"
    found = caller.get(at).json()
    assert (found["name"], found["stage_allocation"]) == ("Untitled strategy", {"growth": 1.0})


def test_changes_a_part(caller):
    at = f"{PATH}/{save(caller, {'seed': 1}, name='Old').json()['id']}"
    response = caller.patch(at, {"name": "New"}, content_type=JSON)
    assert "X-Stage-Mode" not in response
    caller.patch(at, {"stage_allocation": {"wat": 1}}, content_type=JSON)
    found = caller.get(at).json()
    assert (found["name"], found["stage_allocation"], found["unallocated"]) == ("New", {}, 1.0)


@pytest.mark.parametrize("method", ["put", "patch"])
def test_enforce_refuses_an_unknown_stage_and_changes_nothing(method, caller, in_mode):
    at = f"{PATH}/{save(caller, {'seed': 1}, name='Old').json()['id']}"
    in_mode("enforce")
    sent = {"name": "New", "stage_allocation": {"wat": 1}}
    assert getattr(caller, method)(at, sent, content_type=JSON).status_code == 400
    assert caller.get(at).json()["name"] == "Old"


def test_deletes(caller):
    at = f"{PATH}/{save(caller, {'seed': 1}).json()['id']}"
    assert caller.delete(at).status_code == 204
    assert caller.get(at).status_code == 404
    assert caller.delete(at).status_code == 404


def test_a_consumer_meets_only_its_own(client_of, consumer, consumer_named):
    at = f"{PATH}/{save(client_of(consumer), {'seed': 1}, name='Mine').json()['id']}"
    other = client_of(consumer_named("beta", "read", "write"))
    assert other.get(PATH).json()["count"] == 0
    assert other.get(at).status_code == 404
    assert other.put(at, {"stage_allocation": {"growth": 1}}, content_type=JSON).status_code == 404
    assert other.patch(at, {"name": "Theirs"}, content_type=JSON).status_code == 404
    assert other.delete(at).status_code == 404
    assert Strategy.objects.get().name == "Mine"


CALLS = {
    "view": lambda client, at: client.get(at),
    "add": lambda client, at: save(client, {"seed": 1}),
    "change": lambda client, at: client.patch(at, {"name": "Other"}, content_type=JSON),
    "delete": lambda client, at: client.delete(at),
}


@pytest.mark.parametrize("held", [None, *CALLS])
@pytest.mark.parametrize("needed", CALLS)
def test_a_session_takes_the_permission_of_the_admin(held, needed, client_of, consumer, client):
    at = f"{PATH}/{save(client_of(consumer), {'seed': 1}).json()['id']}"
    del client.defaults["HTTP_AUTHORIZATION"]
    user = User.objects.create_user("someone", is_staff=True)
    if held:
        user.user_permissions.add(Permission.objects.get(codename=f"{held}_strategy"))
    client.force_login(user)
    answer = CALLS[needed](client, at)
    assert (answer.status_code == 403) == (held != needed)
    assert Strategy.objects.filter(name="Other").exists() == (held == needed == "change")


def test_a_strategy_of_a_session_has_no_consumer(client, admin_user):
    client.force_login(admin_user)
    assert save(client, {"seed": 1}).status_code == 201
    assert Strategy.objects.get().consumer is None


@pytest.mark.parametrize("name", ["", "x" * 201, 5, None, True, []])
def test_refuses_what_is_no_name(name, caller):
    response = save(caller, {"seed": 1}, name=name)
    assert [e["pointer"] for e in response.json()["errors"]] == ["/name"]


def test_the_field_of_the_other_endpoints_is_refused_here(caller):
    response = caller.post(PATH, {"stage_distribution": {"seed": 1}}, content_type=JSON)
    assert response.status_code == 400
