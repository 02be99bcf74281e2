"""The vocabulary in memory and its versions."""

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from stageapp.infrastructure import events
from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.vocabulary import snapshot as vocabulary
from stageapp.vocabulary.snapshot import Meaning, Snapshot

pytestmark = pytest.mark.django_db


def alias(spelling, stage=None, *, key, source="", reason=""):
    found = Stage.objects.get(slug=stage) if stage else None
    return StageAlias.objects.create(
        spelling=spelling, key=key, source=source, stage=found, reason=reason
    )


def changed(**more):
    return vocabulary.change(**{"actor": "curator", "reason": "a test"} | more)


# --- one snapshot per process


def test_only_the_first_call_of_a_process_reads_the_database(django_assert_num_queries):
    with django_assert_num_queries(1):
        vocabulary.current()
    with django_assert_num_queries(0):
        assert vocabulary.normalize("Series A").stage == "series_a"
        assert vocabulary.normalize("something new").reason == "unmapped"


def test_a_value_seen_before_is_remembered():
    snapshot = vocabulary.current()
    assert snapshot.normalize("Seed ") is snapshot.normalize("Seed ")
    assert snapshot.normalize("Seed ") is not snapshot.normalize("Seed ", "feed")


def test_the_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(vocabulary, "_MEMO_LIMIT", 100)
    snapshot = vocabulary.current()
    for number in range(1000):
        assert snapshot.normalize(f"value {number}").stage is None
        assert len(snapshot._memo) <= 100
    assert snapshot.normalize("seed").stage == "seed"


@given(raw=st.text(st.characters()), source=st.text(max_size=3))
def test_no_text_whatever_raises(raw, source):
    meaning = _SMALL.normalize(raw, source)
    assert (meaning.stage is None) != (meaning.reason is None)


_SMALL = Snapshot(
    1, {"seed": "Seed"}, {("", "seed"): ("seed", ""), ("", "angel"): (None, "not_a_stage")}
)


def test_stages_come_early_to_late_and_inactive_ones_not_at_all():
    Stage.objects.filter(slug="growth").update(active=False)
    snapshot = vocabulary.current()
    assert list(snapshot.labels) == [
        "pre_seed",
        "seed",
        "series_a",
        "series_b",
        "series_c",
        "series_d",
        "series_e_plus",
    ]
    assert snapshot.normalize("Growth").stage is None


# --- aliases


def test_an_alias_of_the_source_comes_before_the_one_for_everybody():
    alias("Seed", "pre_seed", key="seed", source="feed")
    assert vocabulary.normalize("SEED", "feed").stage == "pre_seed"
    assert vocabulary.normalize("SEED", "other").stage == "seed"
    assert vocabulary.normalize("SEED").stage == "seed"


def test_an_alias_of_a_source_means_nothing_elsewhere():
    alias("Tier One", "growth", key="tier one", source="feed")
    assert vocabulary.normalize("tier one", "feed").stage == "growth"
    assert vocabulary.normalize("tier one").reason == "unmapped"


@pytest.mark.parametrize("reason", ["unmapped", "ambiguous", "not_a_stage", "exit_status"])
def test_a_declared_unknown_is_unknown_for_its_reason(reason):
    alias("Tier One", key="tier one", reason=reason)
    assert vocabulary.normalize("Tier  One") == Meaning(None, reason, "tier one")


def test_a_source_may_declare_unknown_what_others_mean():
    alias("Seed", key="seed", source="feed", reason="ambiguous")
    assert vocabulary.normalize("Seed", "feed") == Meaning(None, "ambiguous", "seed")
    assert vocabulary.normalize("Seed").stage == "seed"


# --- versions


def test_a_block_of_edits_is_one_version():
    before = vocabulary.newest_version()
    with changed(actor=" ana", reason=" two spellings ") as made:
        alias("Tier One", "growth", key="tier one")
        alias("Tier Two", "growth", key="tier two")
        assert made() is None
    version = VocabularyVersion.objects.first()
    assert made() == version
    assert version.number == vocabulary.newest_version() > before
    assert (version.actor, version.reason) == (" ana", "two spellings")
    assert VocabularyVersion.objects.filter(number__gt=before).count() == 1


def test_a_block_that_changes_nothing_makes_no_version():
    before = vocabulary.newest_version()
    with changed() as made:
        one = alias("Tier One", "growth", key="tier one")
        one.delete()
    assert made() is None
    assert vocabulary.newest_version() == before


def test_a_block_that_fails_leaves_nothing_behind():
    before = vocabulary.newest_version()
    with pytest.raises(IntegrityError), changed():
        StageAlias.objects.bulk_create(
            [StageAlias(spelling="Tier One", key="tier one", reason="ambiguous")] * 2
        )
    assert vocabulary.newest_version() == before


@pytest.mark.parametrize("missing", [{"reason": ""}, {"reason": " \t"}, {"actor": ""}])
def test_who_and_why_are_required(missing):
    with pytest.raises(ValueError, match=r"(A reason|An actor) is needed"), changed(**missing):
        pass


def test_the_difference_names_what_was_added_removed_and_changed():
    with changed():
        alias("Tier Two", "growth", key="tier two")
        alias("Tier One", "growth", key="tier one")
        StageAlias.objects.get(key="late seed").delete()
        StageAlias.objects.filter(key="seed plus").update(stage=Stage.objects.get(slug="series_a"))
        Stage.objects.filter(slug="growth").update(label="Growth equity")
    diff = VocabularyVersion.objects.first().diff
    assert [row["key"] for row in diff["aliases"]["added"]] == ["tier one", "tier two"]
    assert [row["key"] for row in diff["aliases"]["removed"]] == ["late seed"]
    [swapped] = diff["aliases"]["changed"]
    assert (swapped["old"]["stage__slug"], swapped["new"]["stage__slug"]) == ("seed", "series_a")
    assert diff["stages"]["added"] == diff["stages"]["removed"] == []
    [renamed] = diff["stages"]["changed"]
    assert (renamed["old"]["label"], renamed["new"]["label"]) == ("Growth", "Growth equity")


def test_a_version_holds_all_stages_and_aliases_as_they_stood():
    with changed():
        alias("Tier One", "growth", key="tier one", source="feed")
    document = VocabularyVersion.objects.first().snapshot
    assert document == vocabulary.snapshot_document()
    assert len(document["stages"]) == Stage.objects.count()
    assert len(document["aliases"]) == StageAlias.objects.count()


# --- who follows when


def test_this_process_follows_at_once_and_logs_it(django_capture_on_commit_callbacks, monkeypatch):
    logged = []
    monkeypatch.setattr(events, "vocabulary_changed", lambda **fields: logged.append(fields))
    assert vocabulary.normalize("tier one").stage is None
    with django_capture_on_commit_callbacks(execute=True), changed() as made:
        alias("Tier One", "growth", key="tier one")
    assert vocabulary.normalize("tier one").stage == "growth"
    assert vocabulary.current().version == made().number
    assert logged == [{"version": made().number, "actor": "curator", "reason": "a test"}]


def test_a_change_that_is_rolled_back_is_neither_followed_nor_logged(
    django_capture_on_commit_callbacks, monkeypatch
):
    logged = []
    monkeypatch.setattr(events, "vocabulary_changed", lambda **fields: logged.append(fields))
    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        with changed():
            alias("Tier One", "growth", key="tier one")
        transaction.set_rollback(True)
    assert logged == []
    assert vocabulary.normalize("tier one").stage is None


def test_another_process_follows_with_its_next_refresh(django_assert_num_queries):
    vocabulary.current()
    with changed():  # without the commit hooks, as if made elsewhere
        alias("Tier One", "growth", key="tier one")
    assert vocabulary.normalize("tier one").stage is None
    vocabulary.refresh()
    assert vocabulary.normalize("tier one").stage == "growth"
    with django_assert_num_queries(1):
        vocabulary.refresh()


def test_a_process_that_never_used_the_vocabulary_does_not_load_it(django_assert_num_queries):
    with django_assert_num_queries(0):
        vocabulary.refresh()


# --- a change that was previewed


def test_a_change_on_the_version_that_was_looked_at_is_made():
    with vocabulary.unchanged_since(vocabulary.newest_version()), changed() as made:
        alias("Tier One", "growth", key="tier one")
    assert made().number == vocabulary.newest_version()


def test_a_change_on_an_older_version_is_not_made_and_says_who_was_first():
    looked_at = vocabulary.newest_version()
    with changed(reason="the first"):
        alias("Tier One", "growth", key="tier one")
    with (
        pytest.raises(
            vocabulary.ChangedMeanwhile, match=r"curator made vocabulary version .* the first"
        ),
        vocabulary.unchanged_since(looked_at),
    ):
        pytest.fail("the change was let in")


def test_what_fails_inside_leaves_nothing():
    before = vocabulary.newest_version()

    def fail_halfway():
        with vocabulary.unchanged_since(before), changed():
            alias("Tier One", "growth", key="tier one")
            alias("Tier One", "seed", key="tier one")

    with pytest.raises(IntegrityError):
        fail_halfway()
    assert not StageAlias.objects.filter(key="tier one").exists()
    assert vocabulary.newest_version() == before
