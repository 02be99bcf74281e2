from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from stageapp.api.distribution import MAX_ENTRIES, DistributionField
from stageapp.api.fields import StrictSerializer
from stageapp.api.problems import flatten
from stageapp.vocabulary.snapshot import Meaning


class Form(StrictSerializer):
    d = DistributionField()


def taken(data):
    form = Form(data={"d": data})
    form.is_valid(raise_exception=True)
    return form.validated_data["d"]


def refused(data):
    with pytest.raises(ValidationError) as caught:
        taken(data)
    return [(e["pointer"], e["code"]) for e in flatten(caught.value.detail, "", "/")]


def test_both_shapes_mean_the_same_but_for_their_pointers():
    listed = taken([{"stage": "Seed", "weight": 40}, {"stage": "a/b~c", "weight": 60}])
    keyed = taken({"Seed": 40, "a/b~c": 60})
    assert (
        listed.as_sent
        == keyed.as_sent
        == [{"stage": "Seed", "weight": 40}, {"stage": "a/b~c", "weight": 60}]
    )
    assert listed.values == [("/d/0/stage", "Seed"), ("/d/1/stage", "a/b~c")]
    assert keyed.values == [("/d/Seed", "Seed"), ("/d/a~1b~0c", "a/b~c")]


def test_spellings_of_one_stage_add_up_and_unknown_weight_stays_unallocated():
    distribution = taken(
        [{"stage": s, "weight": w} for s, w in (("Seed", 30), ("seed", 20), ("wat", 50))]
    )
    meanings = [
        Meaning("seed", None, "seed"),
        Meaning("seed", None, "seed"),
        Meaning(None, "unmapped", "wat"),
    ]
    shares = distribution.shares(meanings)
    assert shares.stages == {"seed": Fraction(1, 2)}
    assert shares.unallocated == Decimal("0.5")


@pytest.mark.parametrize("data", [None, True, 1, "Seed", '{"Seed":100}'])
def test_refuses_what_is_neither_list_nor_object(data):
    assert [pointer for pointer, _ in refused(data)] == ["/d"]


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        1,
        "Seed",
        {},
        {"stage": "Seed"},
        {"weight": 1},
        {"stage": "Seed", "weight": 1, "x": 1},
        {"stage": None, "weight": 1},
        {"stage": 5, "weight": 1},
        {"stage": True, "weight": 1},
        {"stage": ["Seed"], "weight": 1},
        {"stage": "x" * 257, "weight": 1},
    ],
)
def test_refuses_a_bad_entry_and_names_it(item):
    assert [pointer for pointer, _ in refused([{"stage": "Seed", "weight": 0}, item])] == ["/d/1"]


@pytest.mark.parametrize(
    "weight,code",
    [
        (None, "not_a_number"),
        (True, "not_a_number"),
        ("40", "not_a_number"),
        ([1], "not_a_number"),
        (-1, "negative"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("Infinity"), "not_finite"),
        (0.5, "not_a_number"),
    ],
)
def test_refuses_a_bad_weight_and_names_it(weight, code):
    assert refused([{"stage": "a", "weight": 1}, {"stage": "b", "weight": weight}]) == [
        ("/d/1/weight", code)
    ]
    assert refused({"a": 1, "b/c": weight}) == [("/d/b~1c", code)]


@pytest.mark.parametrize(
    "data,code",
    [
        ([], "empty"),
        ({}, "empty"),
        ({"a": 0}, "zero_sum"),
        ({"a": 50}, "wrong_sum"),
        ({"a": 10**400}, "wrong_sum"),
    ],
)
def test_refuses_weights_that_make_no_whole(data, code):
    assert refused(data) == [("/d", code)]


def test_bounds_the_number_of_entries_and_the_length_of_a_stage():
    weight = Decimal(1) / MAX_ENTRIES
    assert len(taken({f"s{n}": weight for n in range(MAX_ENTRIES)}).entries) == MAX_ENTRIES
    assert refused({f"s{n}": 1 for n in range(MAX_ENTRIES + 1)}) == [("/d", "too_many")]
    assert taken({"x" * 256: 1}).entries[0].raw == "x" * 256
    assert refused({"x" * 257: 1})[0][1] == "stage"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["stage", "weight"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_json_is_taken_or_refused_with_a_place(data):
    form = Form(data={"d": data})
    if form.is_valid():
        distribution = form.validated_data["d"]
        assert (
            distribution.shares([Meaning(None, "junk", "")] * len(distribution.entries)).unallocated
            == 1
        )
    else:
        assert all(
            e["pointer"].startswith("/d") and e["detail"] for e in flatten(form.errors, "", "/")
        )
