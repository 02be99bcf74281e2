import datetime

import pytest
from django.contrib.auth.models import Permission, User

from stageapp.infrastructure.redis import strict
from stageapp.mode import fast_copy, store
from stageapp.models import ModeChange
from tests.api.calls import JSON

PATH = "/_ops/stage-validation/mode"


@pytest.fixture(autouse=True)
def _empty_fast_copy(db):
    strict().delete(fast_copy.KEY)
    yield
    strict().delete(fast_copy.KEY)


@pytest.fixture
def token(client_of, consumer_named):
    return client_of(consumer_named("ops", "ops"))


@pytest.fixture
def operator(client, db):
    user = User.objects.create_user("olga", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="change_mode"))
    client.force_login(user)
    return client


@pytest.fixture
def set_mode(django_capture_on_commit_callbacks):
    """Return a function that authorises a mode, as the command line would."""

    def change(mode, percent=100, **more):
        with django_capture_on_commit_callbacks(execute=True):
            return store.change(
                mode=mode, percent=percent, actor="test", reason="for a test", **more
            )

    return change


@pytest.fixture
def put(django_capture_on_commit_callbacks):
    def call(client, mode, **more):
        with django_capture_on_commit_callbacks(execute=True):
            return client.put(PATH, {"mode": mode, "reason": "because", **more}, content_type=JSON)

    return call


def test_shows_the_mode_with_its_source_and_age(token, set_mode):
    default = token.get(PATH).json()
    assert (default["mode"], default["source"], default["age"]) == ("warn", "default", None)
    row = set_mode("enforce", 10, enforce_on=datetime.date(2027, 1, 2))
    found = token.get(PATH).json()
    assert 0 <= found.pop("age") < 5
    assert found == {
        "mode": "enforce",
        "percent": 10,
        "epoch": 1,
        "version": 1,
        "enforce_on": "2027-01-02",
        "source": "postgres",
        "since": row.created_at.isoformat().replace("+00:00", "Z"),
    }


@pytest.mark.parametrize(
    "held,asked",
    [
        (("enforce", 100), ("warn", 100)),
        (("enforce", 50), ("enforce", 10)),
        (("warn", 100), ("off", 100)),
    ],
)
def test_a_token_may_lower_the_mode(held, asked, token, set_mode, put):
    set_mode(*held)
    response = put(token, asked[0], percent=asked[1])
    assert response.status_code == 200
    assert (response.json()["mode"], response.json()["percent"], response.json()["version"]) == (
        *asked,
        2,
    )
    newest = ModeChange.objects.first()
    assert (newest.mode, newest.actor, newest.reason) == (asked[0], "ops", "because")


@pytest.mark.parametrize(
    "held,asked",
    [
        (("warn", 100), ("enforce", 1)),
        (("enforce", 10), ("enforce", 11)),
        (("off", 100), ("warn", 100)),
    ],
)
def test_a_token_may_not_raise_the_mode(held, asked, token, set_mode, put):
    set_mode(*held)
    response = put(token, asked[0], percent=asked[1])
    assert response.status_code == 403
    assert response.json()["type"] == "/problems/mode-not-lowered"
    assert ModeChange.objects.count() == 1


def test_a_token_may_not_go_above_the_default_nor_announce_a_day(token, set_mode, put):
    assert put(token, "enforce").status_code == 403
    set_mode("warn")
    assert put(token, "warn", enforce_on="2027-01-01").status_code == 403
    assert put(token, "off", enforce_on="2027-01-01").status_code == 403
    assert ModeChange.objects.count() == 1


def test_a_token_may_not_withdraw_an_announced_day(token, set_mode, put):
    set_mode("enforce", enforce_on=datetime.date(2027, 1, 2))
    for asked in ({"withdraw_enforce_on": True}, {"enforce_on": "2027-01-03"}):
        answer = put(token, "warn", **asked)
        assert (answer.status_code, answer.json()["type"]) == (403, "/problems/mode-not-lowered")
    assert put(token, "warn").status_code == 200
    assert (store.latest().mode, store.latest().enforce_on) == ("warn", datetime.date(2027, 1, 2))
    assert put(token, "warn").status_code == 200
    assert ModeChange.objects.count() == 2


@pytest.mark.parametrize(
    "asked, told",
    [
        ({"enforce_on": "2020-01-01"}, "2020-01-01 is in the past"),
        ({"enforce_on": "2099-01-01", "withdraw_enforce_on": True}, "not both"),
        ({"withdraw_enforce_on": True}, "there is none to withdraw"),
    ],
)
def test_a_day_that_cannot_be_is_refused(operator, set_mode, put, asked, told):
    set_mode("warn")
    answer = put(operator, "off", **asked)
    assert (answer.status_code, answer.json()["type"]) == (400, "/problems/mode-refused")
    assert told in answer.json()["detail"]
    assert ModeChange.objects.count() == 1


def test_a_session_announces_keeps_moves_and_withdraws_the_day(operator, set_mode, put):
    set_mode("warn")
    for asked, day in [
        ({"enforce_on": "2099-01-01"}, "2099-01-01"),
        ({}, "2099-01-01"),
        ({"enforce_on": None}, "2099-01-01"),
        ({"enforce_on": "2099-02-01"}, "2099-02-01"),
        ({"withdraw_enforce_on": True}, None),
    ]:
        assert put(operator, "warn", **asked).json()["enforce_on"] == day
    said = [row.reason for row in ModeChange.objects.order_by("version")]
    assert said == [
        "for a test",
        "because\nAnnounced 2099-01-01 as the first day of enforcement.",
        "because\nAnnounced 2099-02-01 as the first day of enforcement in place of 2099-01-01.",
        "because\nWithdrew the announced day, 2099-02-01.",
    ]


@pytest.mark.parametrize("flag", ["yes", 1, None])
def test_the_flag_is_json_s_own(operator, set_mode, put, flag):
    set_mode("warn", enforce_on=datetime.date(2099, 1, 1))
    assert put(operator, "warn", withdraw_enforce_on=flag).status_code == 400
    assert store.latest().enforce_on == datetime.date(2099, 1, 1)


def test_an_outdated_version_is_a_conflict_even_for_what_is_in_force(operator, set_mode, put):
    set_mode("warn")
    assert put(operator, "warn", expected_version=0).status_code == 409


def test_what_is_in_force_is_not_written_again(token, operator, set_mode, put):
    set_mode("warn")
    for _ in range(2):
        assert put(operator, "warn").status_code == 200
    assert ModeChange.objects.count() == 1


def test_gates_hold_an_operator_back_and_are_told(operator, put):
    response = put(operator, "enforce", percent=10)
    assert (response.status_code, response.json()["type"]) == (409, "/problems/gates-hold")
    held = {gate["name"]: gate["verdict"] for gate in response.json()["gates"]}
    assert held == {
        "run_complete": "no_data",
        "consumers_audited": "no_data",
        "warn_exit": "no_data",
    }
    assert not ModeChange.objects.exists()


def test_going_past_gates_takes_a_permission_of_its_own(operator, put):
    response = put(operator, "enforce", percent=10, override_reason="a test")
    assert (response.status_code, response.json()["type"]) == (403, "/problems/mode-not-raised")
    assert not ModeChange.objects.exists()


def test_with_the_two_person_rule_nobody_enforces_alone(operator, put, settings):
    settings.STAGE_TWO_PERSON_RULE = True
    response = put(operator, "enforce", percent=10, override_reason="a test")
    assert (response.status_code, response.json()["type"]) == (
        409,
        "/problems/second-person-needed",
    )


def test_after_a_downgrade_only_who_may_rearm_raises_the_mode(operator, put, set_mode):
    set_mode("enforce", 10)
    set_mode("warn", kind="downgrade")
    assert put(operator, "enforce", percent=10).json()["type"] == "/problems/mode-not-raised"
    give("olga", "rearm", "override_gate")
    assert put(operator, "enforce", percent=10, override_reason="a test").status_code == 200


def give(name, *codenames):
    User.objects.get(username=name).user_permissions.add(
        *Permission.objects.filter(codename__in=codenames)
    )


def test_an_operator_with_the_permissions_may_raise_it(operator, put):
    give("olga", "override_gate")
    response = put(
        operator, "enforce", percent=10, enforce_on="2027-01-01", override_reason="a test"
    )
    assert response.status_code == 200
    newest = ModeChange.objects.get()
    assert (newest.mode, newest.percent, newest.actor) == ("enforce", 10, "session:olga")
    assert newest.enforce_on == datetime.date(2027, 1, 1)
    assert store.current().mode == "enforce"


def test_staff_without_the_permission_may_only_look(client, put, db):
    client.force_login(User.objects.create_user("otto", is_staff=True))
    assert client.get(PATH).status_code == 200
    assert put(client, "off").status_code == 403
    assert not ModeChange.objects.exists()


def test_an_outdated_version_is_a_conflict(operator, set_mode, put):
    set_mode("warn")
    response = put(operator, "off", expected_version=0)
    assert (response.status_code, response.json()["type"]) == (409, "/problems/version-conflict")
    assert put(operator, "off", expected_version=1).status_code == 200


def test_a_change_that_comes_between_is_a_conflict(token, set_mode, put, monkeypatch):
    set_mode("enforce")
    real = store.latest

    def latest_before_somebody_else_changes_it():
        seen = real()
        monkeypatch.setattr(store, "latest", real)
        set_mode("off")
        return seen

    monkeypatch.setattr(store, "latest", latest_before_somebody_else_changes_it)
    assert put(token, "warn").status_code == 409
    assert store.latest().mode == "off"


@pytest.mark.parametrize(
    "sent,status",
    [
        ({"mode": "strict"}, 400),
        ({"mode": ["off"]}, 400),
        ({"mode": "warn", "percent": 10}, 400),
        ({"mode": "enforce", "percent": 0}, 400),
        ({"mode": "enforce", "percent": "10"}, 400),
        ({"mode": "off", "reason": ""}, 400),
        ({"mode": "off", "reason": " "}, 400),
        ({"mode": "off", "reason": None}, 400),
        ({"mode": "off", "enforce_on": "soon"}, 400),
        ({"mode": "off", "enforce_on": 5}, 400),
        ({"mode": "off", "expected_version": -1}, 400),
        ({"mode": "off", "kind": "downgrade"}, 400),
    ],
)
def test_refuses_what_makes_no_change(sent, status, operator):
    response = operator.put(PATH, {"reason": "because", **sent}, content_type=JSON)
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert not ModeChange.objects.exists()


def test_warnings_count_since_the_last_off(set_mode):
    set_mode("warn")
    set_mode("off")
    assert store.current().since is None
    first = set_mode("warn")
    set_mode("enforce", 10)
    set_mode("warn", enforce_on=datetime.date(2027, 1, 1))
    assert store.current().since == first.created_at
    store.forget()
    store.adopt(store.parse_fast_copy(strict().get(fast_copy.KEY)))
    assert (store.current().since, store.current().source) == (first.created_at, "redis")
