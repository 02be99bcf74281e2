import pytest

from stageapp.models import Stage, StageAlias, TrafficWindow
from stageapp.traffic import windows
from stageapp.vocabulary import snapshot
from tests.api.calls import JSON


@pytest.fixture
def caller(client_of, consumer):
    return client_of(consumer)


def normalize(caller, values):
    return caller.post("/api/stages/normalize", {"values": values}, content_type=JSON)


def test_lists_the_stages_from_the_earliest_to_the_latest(caller):
    found = caller.get("/api/stages").json()
    assert [s["stage"] for s in found["stages"]] == list(
        Stage.objects.order_by("rank").values_list("slug", flat=True)
    )
    assert found["stages"][0] == {"stage": "pre_seed", "label": "Pre-Seed"}
    assert found["vocabulary_version"] == snapshot.newest_version()


@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_says_what_each_value_means_in_order_in_every_mode(mode, caller, in_mode):
    in_mode(mode)
    response = normalize(caller, ["SEED", "Sereis B", "", "SEED"])
    assert response.json()["results"] == [
        {"value": "SEED", "stage": "seed", "reason": None, "suggestions": []},
        {"value": "Sereis B", "stage": None, "reason": "unmapped", "suggestions": ["series_b"]},
        {"value": "", "stage": None, "reason": "blank", "suggestions": []},
        {"value": "SEED", "stage": "seed", "reason": None, "suggestions": []},
    ]
    assert "X-Stage-Mode" not in response


def test_a_look_up_is_no_traffic(caller, in_mode):
    windows.buffer.forget()
    in_mode("warn")
    normalize(caller, ["wat"])
    normalize(caller, [5])
    windows.flush()
    assert not TrafficWindow.objects.exists()


def test_uses_the_aliases_of_the_caller(caller):
    StageAlias.objects.create(
        spelling="Zulu", key="zulu", source="alpha", stage=Stage.objects.get(slug="growth")
    )
    assert normalize(caller, ["zulu"]).json()["results"][0]["stage"] == "growth"


def test_takes_a_thousand_values_and_none_at_all(caller):
    assert len(normalize(caller, [f"value {n}" for n in range(1000)]).json()["results"]) == 1000
    assert normalize(caller, []).json()["results"] == []


@pytest.mark.parametrize(
    "values,pointer",
    [
        (["x"] * 1001, "/values"),
        ("Seed", "/values"),
        ({"a": 1}, "/values"),
        (None, "/values"),
        (["a", 5], "/values/1"),
        ([None], "/values/0"),
        (["x" * 257], "/values/0"),
        ([["a"]], "/values/0"),
    ],
)
def test_refuses_what_are_no_values(values, pointer, caller):
    response = normalize(caller, values)
    assert response.status_code == 400
    assert [e["pointer"] for e in response.json()["errors"]] == [pointer]
