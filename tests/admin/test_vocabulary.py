"""Curating the vocabulary: each edit is a version with a reason, and an alias can always be
found by its key.
"""

import pytest
from django.urls import reverse

from stageapp.admin.actions import LONGEST_REASON
from stageapp.admin.vocabulary_versions import lines
from stageapp.models import Stage, StageAlias, VocabularyVersion
from stageapp.vocabulary import snapshot

pytestmark = pytest.mark.django_db

ADD = reverse("admin:stageapp_stagealias_add")
CURATOR = ["curate_vocabulary", "view_vocabularyversion"]


def alias(stage=None, **more):
    chosen = Stage.objects.get(slug=stage).pk if stage else ""
    return {
        "spelling": "Sprout  Round",
        "stage": chosen,
        "reason": "",
        "source": "",
        "comment": "",
        "why": "seen",
        **more,
    }


def newest():
    return VocabularyVersion.objects.first()


def errors(answer):
    return str(answer.context["adminform"].form.errors)


def test_an_added_alias_is_a_version_and_means_its_stage(browser_with):
    before = newest().number
    answer = browser_with(*CURATOR, name="cora").post(ADD, alias("seed"))
    assert answer.status_code == 302
    version = newest()
    assert version.number > before
    assert (version.actor, version.reason) == ("cora", "seen")
    assert version.diff["aliases"]["added"][0]["spelling"] == "Sprout  Round"
    snapshot.forget()
    assert snapshot.normalize("SPROUT round").stage == "seed"


def test_its_key_is_computed_and_cannot_be_sent(browser_with):
    browser_with(*CURATOR).post(ADD, alias("seed", key="forged"))
    assert StageAlias.objects.get(spelling="Sprout  Round").key == snapshot.normalize("sprout").key


@pytest.mark.parametrize("why", ["", "  "])
def test_without_a_reason_nothing_is_saved(browser_with, why):
    before = newest().number
    answer = browser_with(*CURATOR).post(ADD, alias("seed", why=why))
    assert answer.status_code == 200
    assert newest().number == before


@pytest.mark.parametrize("spelling", ["\u200b", "x" * 300, "Seed \ue000"])
def test_a_spelling_that_no_alias_could_be_found_by_is_refused(browser_with, spelling):
    answer = browser_with(*CURATOR).post(ADD, alias("seed", spelling=spelling))
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors["spelling"]


def test_the_same_spelling_but_for_formatting_is_refused_and_named(browser_with):
    browser = browser_with(*CURATOR)
    browser.post(ADD, alias("seed"))
    answer = browser.post(ADD, alias("series_a", spelling="sprout-ROUND"))
    assert "Sprout  Round" in errors(answer)
    assert "differs only in formatting" in errors(answer)


def test_one_source_may_mean_something_else_by_it(browser_with):
    browser = browser_with(*CURATOR)
    browser.post(ADD, alias("seed"))
    assert browser.post(ADD, alias("series_a", source="partner")).status_code == 302


@pytest.mark.parametrize(("stage", "reason"), [(None, ""), ("seed", "junk")])
def test_an_alias_has_a_stage_or_a_reason_and_never_both(browser_with, stage, reason):
    answer = browser_with(*CURATOR).post(ADD, alias(stage, reason=reason))
    assert "Choose either a stage or a reason" in errors(answer)


def test_a_race_for_one_key_ends_in_words_and_not_in_a_fault(browser_with, monkeypatch):
    browser = browser_with(*CURATOR)
    browser.post(ADD, alias("seed"))
    monkeypatch.setattr("stageapp.admin.vocabulary.AliasForm.claimant", lambda *_: None)
    answer = browser.post(ADD, alias("series_a"), follow=True)
    assert "Somebody else has just changed the same entry. Reload it" in answer.text
    assert StageAlias.objects.get(spelling="Sprout  Round").stage.slug == "seed"


def test_deleting_asks_why_and_is_a_version(browser_with):
    browser = browser_with(*CURATOR)
    browser.post(ADD, alias("seed"))
    made = StageAlias.objects.get(spelling="Sprout  Round")
    delete = reverse("admin:stageapp_stagealias_delete", args=[made.pk])
    assert f'name="why" rows="3" maxlength="{LONGEST_REASON}"' in browser.get(delete).text
    assert "A reason is needed" in browser.post(delete, {"post": "yes"}, follow=True).text
    assert StageAlias.objects.filter(pk=made.pk).exists()
    browser.post(delete, {"post": "yes", "why": "a mistake"})
    assert not StageAlias.objects.filter(pk=made.pk).exists()
    assert newest().reason == "a mistake"
    assert newest().diff["aliases"]["removed"][0]["spelling"] == "Sprout  Round"


def test_renaming_a_stage_is_a_version_with_was_and_is(browser_with):
    stage = Stage.objects.get(slug="seed")
    browser = browser_with(*CURATOR)
    change = reverse("admin:stageapp_stage_change", args=[stage.pk])
    form = browser.get(change).context["adminform"].form
    data = {name: value for name, value in form.initial.items() if value is not None}
    browser.post(change, {**data, "label": "Seed capital", "active": "on", "why": "clearer"})
    (line,) = lines(newest().diff)
    assert line["sign"] == "~"
    assert (line["old"], line["new"]) == ([("label", stage.label)], [("label", "Seed capital")])
    page = browser.get(reverse("admin:stageapp_vocabularyversion_change", args=[newest().pk]))
    assert "Seed capital" in page.text
    assert "clearer" in page.text


@pytest.mark.parametrize("spelling", ["n/a", "Series C, D"])
def test_what_the_rules_read_as_no_single_stage_cannot_be_given_one(browser_with, spelling):
    browser = browser_with(*CURATOR)
    assert "An alias cannot use" in errors(browser.post(ADD, alias("seed", spelling=spelling)))
    assert browser.post(ADD, alias(reason="not_a_stage", spelling=spelling)).status_code == 302


def test_the_list_of_versions_counts_what_changed(browser_with):
    browser = browser_with(*CURATOR)
    browser.post(ADD, alias("seed"))
    assert ("stage", "seed") in lines(newest().diff)[0]["new"]
    assert "+1" in browser.get(reverse("admin:stageapp_vocabularyversion_changelist")).text


def test_a_viewer_may_look_and_not_curate(browser_with):
    browser = browser_with("view_stagealias", "view_stage")
    assert browser.get(reverse("admin:stageapp_stagealias_changelist")).status_code == 200
    assert browser.post(ADD, alias("seed")).status_code == 403
