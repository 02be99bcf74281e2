import datetime

import pytest
from django.utils import timezone

from stageapp.models import Fund, Stage, StageAlias, Strategy, TrafficWindow
from stageapp.rollout.canary import bucket
from stageapp.traffic import windows
from stageapp.vocabulary import snapshot
from tests.api.calls import POSTS, SHAPES, post, senders

SINCE = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
STAGE_HEADERS = (
    "Stage-Validation",
    "X-Stage-Mode",
    "X-Stage-Warning",
    "X-Stage-Would-Reject",
    "X-Stage-Unknown-Count",
    "Deprecation",
    "Sunset",
    "Link",
)
RETIRED = {"Series-A": 40, "seed": 60}
UNKNOWN = {"Series-A": 40, "Sereis B": 60}
DAY = datetime.date(2099, 12, 24)


def stage_headers(response):
    return {name: response[name] for name in STAGE_HEADERS if name in response}


def counted():
    windows.flush()
    return set(
        TrafficWindow.objects.values_list(
            "endpoint", "mode", "verdict", "requests", "rejects", "errors"
        )
    )


@pytest.fixture(autouse=True)
def _count_anew():
    windows.buffer.forget()


@pytest.fixture
def fund(db):
    fund = Fund.objects.create(name="One")
    for raw in ("Seed", "series_a", "Series A", "series-a ", "Sereis B", ""):
        fund.companies.create(name=f"company {raw}", stage=raw)
    return fund


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("label", POSTS)
class TestPosts:
    def test_off_normalizes_keeps_unknowns_apart_and_adds_nothing(
        self, label, shape, client_of, consumer, in_mode
    ):
        in_mode("off")
        response = post(client_of(consumer), label, UNKNOWN, shape)
        assert response.status_code == POSTS[label][2]
        assert stage_headers(response) == {}
        assert "stage_validation" not in response.json()
        assert stages_of(label, response.json()) == {"series_a"}
        assert counted() == {(label, "off", "unknown", 1, 0, 0)}

    def test_warn_accepts_and_tells(self, label, shape, client_of, consumer, in_mode):
        in_mode("warn", since=SINCE, enforce_on=DAY)
        response = post(client_of(consumer), label, UNKNOWN, shape)
        assert response.status_code == POSTS[label][2]
        assert stage_headers(response) == {
            "Stage-Validation": "warn;verdict=unknown;unknown=1;retired=1",
            "X-Stage-Mode": "warn",
            "X-Stage-Warning": "unknown-stage, retired-spelling",
            "X-Stage-Would-Reject": "true",
            "X-Stage-Unknown-Count": "1",
            "Deprecation": "@1772366400",
            "Sunset": "Thu, 24 Dec 2099 00:00:00 GMT",
            "Link": '</api/deprecations>; rel="deprecation"',
        }
        pointers = {"list": ("0/stage", "1/stage"), "object": ("Series-A", "Sereis B")}[shape]
        first, second = (f"/{POSTS[label][1]}/{pointer}" for pointer in pointers)
        assert response.json()["stage_validation"] == {
            "mode": "warn",
            "verdict": "unknown",
            "would_reject": True,
            "enforce_on": "2099-12-24",
            "vocabulary_version": snapshot.newest_version(),
            "unknown": [
                {
                    "pointer": second,
                    "value": "Sereis B",
                    "reason": "unmapped",
                    "suggestions": ["series_b"],
                }
            ],
            "retired": [{"pointer": first, "value": "Series-A", "stage": "series_a"}],
            "unallocated": 0.6,
        }
        assert stages_of(label, response.json()) == {"series_a"}
        assert counted() == {(label, "warn", "unknown", 1, 0, 0)}

    def test_a_retired_spelling_has_no_end(self, label, shape, client_of, consumer, in_mode):
        in_mode("warn", since=SINCE, enforce_on=DAY)
        response = post(client_of(consumer), label, RETIRED, shape)
        assert response["Deprecation"] == "@1772366400"
        assert "Link" in response
        assert "Sunset" not in response

    def test_who_is_refused_is_announced_no_day(self, label, shape, client_of, consumer, in_mode):
        in_mode("enforce", since=SINCE, enforce_on=DAY)
        response = post(client_of(consumer), label, UNKNOWN, shape)
        assert (response.status_code, response["Deprecation"]) == (400, "@1772366400")
        assert "Sunset" not in response

    def test_a_past_day_is_announced_no_more(self, label, shape, client_of, consumer, in_mode):
        in_mode("warn", since=SINCE, enforce_on=timezone.now().date() - datetime.timedelta(days=1))
        response = post(client_of(consumer), label, UNKNOWN, shape)
        assert "Sunset" not in response
        assert response.json()["stage_validation"]["enforce_on"] is None

    def test_enforce_refuses_with_every_unknown_value(
        self, label, shape, client_of, consumer, in_mode
    ):
        in_mode("enforce")
        response = post(
            client_of(consumer), label, {"a?": 10, "Series-A": 40, "Sereis B": 50}, shape
        )
        assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
        body = response.json()
        assert body["type"] == "/problems/unknown-stage"
        assert [(e["value"], e["suggestions"]) for e in body["errors"]] == [
            ("a?", []),
            ("Sereis B", ["series_b"]),
        ]
        assert body["valid_stages"][:3] == ["pre_seed", "seed", "series_a"]
        assert response["X-Stage-Unknown-Count"] == "2"
        assert not Strategy.objects.exists()
        assert counted() == {(label, "enforce", "unknown", 1, 1, 0)}

    def test_enforce_accepts_a_retired_spelling_with_a_hint(
        self, label, shape, client_of, consumer, in_mode
    ):
        in_mode("enforce", since=SINCE)
        response = post(client_of(consumer), label, RETIRED, shape)
        assert response.status_code == POSTS[label][2]
        assert response["Stage-Validation"] == "enforce;verdict=normalized;unknown=0;retired=1"
        assert response["X-Stage-Warning"] == "retired-spelling"
        assert response["Deprecation"] == "@1772366400"
        assert [r["stage"] for r in response.json()["stage_validation"]["retired"]] == ["series_a"]
        assert stages_of(label, response.json()) == {"seed", "series_a"}
        assert counted() == {(label, "enforce", "normalized", 1, 0, 0)}

    @pytest.mark.parametrize("mode", ["warn", "enforce"])
    def test_canonical_stages_meet_no_warning(
        self, mode, label, shape, client_of, consumer, in_mode
    ):
        in_mode(mode, since=SINCE, enforce_on=DAY)
        response = post(client_of(consumer), label, {"seed": 1}, shape)
        assert stage_headers(response) == {
            "Stage-Validation": f"{mode};verdict=canonical;unknown=0;retired=0",
            "X-Stage-Mode": mode,
            "X-Stage-Would-Reject": "false",
            "X-Stage-Unknown-Count": "0",
        }
        assert counted() == {(label, mode, "canonical", 1, 0, 0)}

    @pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
    def test_bad_weights_are_refused_in_every_mode(
        self, mode, label, shape, client_of, consumer, in_mode
    ):
        in_mode(mode)
        response = post(client_of(consumer), label, {"wat": -1}, shape)
        assert response.status_code == 400
        assert response.json()["type"] == "/problems/invalid-request"
        assert stage_headers(response) == {}
        assert counted() == {(label, mode, "malformed", 1, 1, 0)}


def stages_of(label, body):
    match label:
        case "strategies":
            return set(body["stage_allocation"])
        case _:
            return {part["stage"] for part in body["stages"]}


@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
class TestFilter:
    def names(self, client, fund, **query):
        response = client.get(f"/api/funds/{fund.pk}/companies", query)
        return response, [company["stage"] for company in response.json().get("results", [])]

    def test_a_known_spelling_finds_every_spelling(self, mode, client_of, consumer, in_mode, fund):
        in_mode(mode)
        response, found = self.names(client_of(consumer), fund, stage="SERIES A")
        assert found == ["series_a", "Series A", "series-a "]
        assert ("stage_validation" in response.json()) == (mode != "off")
        assert bool(stage_headers(response)) == (mode != "off")
        assert counted() == {("companies", mode, "normalized", 1, 0, 0)}

    def test_an_unknown_value_is_an_exact_match_or_refused(
        self, mode, client_of, consumer, in_mode, fund
    ):
        in_mode(mode)
        response, found = self.names(client_of(consumer), fund, stage="Sereis B")
        if mode == "enforce":
            assert response.status_code == 400
            assert response.json()["errors"] == [
                {
                    "parameter": "stage",
                    "value": "Sereis B",
                    "reason": "unmapped",
                    "suggestions": ["series_b"],
                }
            ]
        else:
            assert found == ["Sereis B"]
        assert counted() == {("companies", mode, "unknown", 1, int(mode == "enforce"), 0)}


@pytest.mark.parametrize(
    "raw", ["Sereis B", "", "Debt", "acquired", "x" * 256, "<b>\u202e", "Series A/B", "S\u0435ed\n"]
)
def test_every_endpoint_says_the_same_of_one_bad_value(raw, client_of, consumer, in_mode, fund):
    client, said = client_of(consumer), set()
    look_up = client.post(
        "/api/stages/normalize", {"values": [raw]}, content_type="application/json"
    ).json()
    for mode in ("off", "warn", "enforce"):
        in_mode(mode, since=SINCE)
        answers = {label: send(raw) for label, send in senders(client, fund).items()}
        assert len({response.status_code // 100 for response in answers.values()}) == 1
        assert len({tuple(stage_headers(response).items()) for response in answers.values()}) == 1
        for response in answers.values():
            body = response.json()
            found = (
                body.get("stage_validation", {}).get("unknown", [])
                if mode == "warn"
                else body.get("errors", [])
            )
            said |= {(e["value"], e["reason"], tuple(e["suggestions"])) for e in found}
    result = look_up["results"][0]
    assert said == {(raw, result["reason"], tuple(result["suggestions"]))}
    assert result["stage"] is None


@pytest.mark.parametrize("raw", ["SERIES-A", "Séries A", " seed "])
def test_every_endpoint_says_the_same_of_one_retired_spelling(
    raw, client_of, consumer, in_mode, fund
):
    client = client_of(consumer)
    for mode in ("off", "warn", "enforce"):
        in_mode(mode, since=SINCE)
        answers = [send(raw) for send in senders(client, fund).values()]
        assert {response.status_code // 100 for response in answers} == {2}
        assert len({tuple(stage_headers(response).items()) for response in answers}) == 1
        assert ("Deprecation" in answers[0]) == (mode != "off")
        retired = [
            response.json().get("stage_validation", {}).get("retired", []) for response in answers
        ]
        expected = {(raw, snapshot.normalize(raw).stage)} if mode != "off" else set()
        assert {
            (entry["value"], entry["stage"]) for found in retired for entry in found
        } == expected


@pytest.mark.parametrize("method", ["put", "patch"])
def test_a_changed_strategy_is_judged_and_counted_like_a_new_one(
    method, client_of, consumer, in_mode
):
    client = client_of(consumer)
    in_mode("warn")
    at = f"/api/portfolio/strategies/{post(client, 'strategies', {'seed': 1}).json()['id']}"
    response = getattr(client, method)(
        at, {"stage_allocation": {"wat": 1}}, content_type="application/json"
    )
    assert response["X-Stage-Unknown-Count"] == "1"
    getattr(client, method)(at, {"stage_allocation": 5}, content_type="application/json")
    assert counted() == {
        ("strategies", "warn", "canonical", 1, 0, 0),
        ("strategies", "warn", "unknown", 1, 0, 0),
        ("strategies", "warn", "malformed", 1, 1, 0),
    }


def test_what_cannot_be_read_at_all_is_counted_as_malformed(client_of, consumer, in_mode):
    in_mode("enforce")
    client = client_of(consumer)
    for body, kind in (
        ("{", "application/json"),
        ("{}", "text/plain"),
        (" " * 262_145, "application/json"),
    ):
        client.post("/api/allocations", body, content_type=kind)
    assert counted() == {("allocations", "enforce", "malformed", 3, 3, 0)}


def test_a_fault_after_the_decision_is_counted_as_an_error(
    client_of, consumer, in_mode, monkeypatch
):
    def fail(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr("stageapp.api.allocations.reserve_plan", fail)
    in_mode("warn")
    assert post(client_of(consumer), "allocations", {"seed": 1}).status_code == 500
    assert counted() == {("allocations", "warn", "canonical", 1, 0, 1)}


def test_a_head_of_the_filter_is_judged_and_counted_too(client_of, consumer, in_mode, fund):
    in_mode("enforce")
    response = client_of(consumer).head(f"/api/funds/{fund.pk}/companies?stage=wat")
    assert (response.status_code, response["X-Stage-Unknown-Count"]) == (400, "1")
    assert counted() == {("companies", "enforce", "unknown", 1, 1, 0)}


def test_headers_never_carry_the_value(client_of, consumer, in_mode):
    in_mode("warn")
    response = post(client_of(consumer), "allocations", {"evil\r\nSet-Cookie: a=b": 1})
    assert response.status_code == 200
    assert "evil" not in str(response.headers)
    assert str(response.headers).isascii()


def test_without_a_change_and_an_announced_day_there_is_no_date(client_of, consumer, in_mode):
    in_mode("warn")
    response = post(client_of(consumer), "allocations", {"wat": 1})
    assert "Deprecation" not in response
    assert "Sunset" not in response
    assert "Link" in response


def test_in_a_canary_only_the_share_meets_enforce(client_of, consumer_named, in_mode, db):
    names = sorted((f"caller {n}" for n in range(20)), key=bucket)
    inside, outside = consumer_named(names[0], "write"), consumer_named(names[-1], "write")
    in_mode("enforce", percent=bucket(names[0]) + 1)
    assert post(client_of(inside), "allocations", {"wat": 1}).status_code == 400
    response = post(client_of(outside), "allocations", {"wat": 1})
    assert (response.status_code, response["X-Stage-Mode"]) == (200, "warn")


def test_a_spelling_may_mean_a_stage_for_one_consumer_only(client_of, consumer_named, in_mode, db):
    from_alpha = consumer_named("alpha", "write")
    seed = Stage.objects.get(slug="seed")
    StageAlias.objects.create(source="alpha", spelling="Zulu", key="zulu", stage=seed)
    in_mode("enforce")
    assert post(client_of(from_alpha), "allocations", {"zulu": 1}).status_code == 200
    assert (
        post(client_of(consumer_named("beta", "write")), "allocations", {"zulu": 1}).status_code
        == 400
    )


@pytest.mark.parametrize("label", POSTS)
def test_a_fault_of_the_validator_is_a_counted_500_without_detail(
    label, client_of, consumer, in_mode, monkeypatch
):
    def fail(*_args, **_more):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("stageapp.api.validation.decide", fail)
    in_mode("warn")
    client = client_of(consumer)
    client.raise_request_exception = False
    response = post(client, label, {"seed": 1})
    assert response.status_code == 500
    assert response.json()["type"] == "/problems/server-error"
    assert b"secret" not in response.content
    assert counted() == {(label, "warn", "malformed", 1, 0, 1)}


def test_a_slow_decision_is_counted(client_of, consumer, in_mode, monkeypatch):
    monkeypatch.setattr("stageapp.api.validation.SLOW_SECONDS", 0)
    in_mode("warn")
    post(client_of(consumer), "allocations", {"seed": 1})
    windows.flush()
    assert TrafficWindow.objects.get().slow == 1


def test_who_is_not_let_in_is_not_counted(client, db):
    assert post(client, "allocations", {"seed": 1}).status_code == 401
    assert counted() == set()
