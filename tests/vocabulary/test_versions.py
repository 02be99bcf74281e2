"""Older versions of the vocabulary: looked at, and brought back as new ones."""

import pytest

from stageapp.models.portfolio import Fund, PortfolioCompany, Strategy
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.normalization.plan import make_plan
from stageapp.vocabulary import snapshot as vocabulary
from stageapp.vocabulary import versions
from stageapp.vocabulary.versions import NoSuchVersion, at, difference_from_now, restore

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "a test"}


def document():
    return vocabulary.snapshot_document()


def change(edit):
    with vocabulary.change(**WHO) as made:
        edit()
    return made()


def add_alias(spelling="Fondo X", key="fondo x", slug="seed"):
    StageAlias.objects.create(spelling=spelling, key=key, stage=Stage.objects.get(slug=slug))


def add_stage(slug="fondo", rank=75):
    return Stage.objects.create(slug=slug, label=slug.title(), rank=rank)


def test_an_older_version_can_be_looked_at():
    version = change(add_alias)
    seen = at(version.number)
    assert (seen.actor, seen.reason) == ("petra", "a test")
    assert seen.diff["aliases"]["added"][0]["key"] == "fondo x"
    assert seen.snapshot == document()


def test_a_number_that_does_not_exist_is_refused():
    with pytest.raises(NoSuchVersion, match="the newest is"):
        at(999_999)


def edits():
    Stage.objects.filter(slug="seed").update(label="Start", rank=25)
    Stage.objects.filter(slug="growth").update(active=False)
    StageAlias.objects.filter(key="series a").update(
        stage=Stage.objects.get(slug="series_b"), comment="wrong"
    )
    StageAlias.objects.filter(key="late seed").delete()
    add_alias("Fondo Z", "fondo z")
    add_stage()


def test_everything_of_a_version_comes_back_as_a_new_version():
    first = change(lambda: add_alias("Fondo A1", "fondo a1"))
    before = document()
    change(edits)
    assert document() != before
    version = restore(first.number, actor="paul", reason="back")
    assert document() == before == version.snapshot
    assert version.number == vocabulary.newest_version()
    assert (version.actor, version.reason) == ("paul", "back")
    assert vocabulary.load().normalize("Series A").stage == "series_a"


def test_the_first_version_comes_back():
    first = VocabularyVersion.objects.order_by("number").first()
    before = document()
    change(edits)
    restore(first.number, **WHO)
    assert document() == before


def test_a_stage_that_was_deleted_since_comes_back_whole():
    first = VocabularyVersion.objects.order_by("number").first()
    before = document()

    def drop():
        StageAlias.objects.filter(stage__slug="growth").delete()
        Stage.objects.get(slug="growth").delete()

    change(drop)
    restore(first.number, **WHO)
    assert document() == before


def test_two_stages_that_changed_places_change_back():
    version = change(add_alias)
    before = document()

    def swap():
        Stage.objects.filter(slug="seed").update(rank=5)
        Stage.objects.filter(slug="pre_seed").update(rank=20)
        Stage.objects.filter(slug="seed").update(rank=10)

    change(swap)
    restore(version.number, **WHO)
    assert document() == before


def test_a_new_stage_on_an_old_ones_rank_makes_room():
    version = change(add_alias)
    Stage.objects.filter(slug="growth").update(rank=90)
    add_stage("fondo", rank=80)
    PortfolioCompany.objects.create(
        fund=Fund.objects.create(name="First"), name="a company", stage="fondo"
    )
    restore(version.number, **WHO)
    assert Stage.objects.get(slug="growth").rank == 80
    assert not Stage.objects.get(slug="fondo").active


@pytest.mark.parametrize("place", ["row", "plan", "strategy"])
def test_a_stage_that_something_names_is_deactivated_and_stays(place):
    version = VocabularyVersion.objects.order_by("number").first()
    change(add_stage)
    if place == "strategy":
        Strategy.objects.create(
            name="s", raw_allocation=[], allocation={"fondo": 1.0}, vocabulary_version=1
        )
    else:
        company = PortfolioCompany.objects.create(
            fund=Fund.objects.create(name="F"), name="a", stage="fondo"
        )
        if place == "plan":
            change(lambda: add_alias("fondo", "fondo", "fondo"))
            make_plan("stageapp.PortfolioCompany.stage", actor="test")
            company.delete()
    restore(version.number, **WHO)
    assert not Stage.objects.get(slug="fondo").active


def test_a_stage_that_nothing_names_is_deleted():
    version = VocabularyVersion.objects.order_by("number").first()
    change(add_stage)
    restore(version.number, **WHO)
    assert not Stage.objects.filter(slug="fondo").exists()


def test_what_nothing_differs_from_makes_no_version():
    version = change(add_alias)
    assert restore(version.number, **WHO) is None
    assert vocabulary.newest_version() == version.number


def test_the_difference_is_shown_before_anything_changes():
    version = change(add_alias)
    change(edits)
    before = document()
    diff = difference_from_now(version.number)
    assert {row["slug"] for row in diff["stages"]["removed"]} == {"fondo"}
    assert [row["key"] for row in diff["aliases"]["added"]] == ["late seed"]
    assert document() == before


def test_a_reason_is_needed():
    version = change(add_alias)
    change(edits)
    before = document()
    with pytest.raises(ValueError, match="reason"):
        versions.restore(version.number, actor="petra", reason=" ")
    assert document() == before
