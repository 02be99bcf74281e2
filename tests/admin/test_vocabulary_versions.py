"""Versions of the vocabulary: looked at, compared with today, brought back."""

import pytest
from django.urls import reverse

from stageapp.models import Stage, StageAlias, VocabularyVersion
from stageapp.vocabulary import snapshot

pytestmark = pytest.mark.django_db

LIST = reverse("admin:stageapp_vocabularyversion_changelist")


@pytest.fixture
def cora(browser_with):
    """Return the browser of a curator."""
    return browser_with("curate_vocabulary", "view_vocabularyversion", name="cora")


@pytest.fixture
def older():
    """Return the number of a version after which an alias was added, one taken away and a stage
    renamed.
    """
    with snapshot.change(actor="petra", reason="the first"):
        StageAlias.objects.create(
            spelling="Fondo A", key="fondo a", stage=Stage.objects.get(slug="seed")
        )
    number = snapshot.newest_version()
    with snapshot.change(actor="petra", reason="the second"):
        StageAlias.objects.get(key="fondo a").delete()
        StageAlias.objects.create(
            spelling="<script>alert(1)</script>", key="fondo b", reason="not_a_stage"
        )
        Stage.objects.filter(slug="seed").update(label="Sprout")
    return number


def address(what, number):
    return reverse(f"admin:stageapp_vocabularyversion_{what}", args=[number])


def restore(browser, number, **more):
    form = {"reason": "it was right", "expected_version": snapshot.newest_version(), **more}
    return browser.post(address("restore", number), form, follow=True)


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def test_an_older_version_is_shown_as_it_was(older, cora):
    page = cora.get(address("vocabulary", older))
    labels = {stage["slug"]: stage["label"] for stage in page.context["stages"]}
    assert labels["seed"] == "Seed"
    assert page.context["aliases_total"] == StageAlias.objects.count()
    found = cora.get(address("vocabulary", older), {"q": "FONDO"})
    assert [alias["spelling"] for alias in found.context["aliases"]] == ["Fondo A"]


def test_it_is_compared_with_today(older, cora):
    page = cora.get(address("compare", older))
    assert {(line["kind"], line["name"]) for line in page.context["lines"]} == {
        ("added", "Fondo A"),
        ("removed", "<script>alert(1)</script>"),
        ("changed", "Seed"),
    }
    assert "<script>alert" not in page.text


def test_restoring_does_what_the_comparison_says_as_a_new_version(older, cora):
    shown = cora.get(address("compare", older)).context["lines"]
    answer = restore(cora, older)
    made = VocabularyVersion.objects.first()
    assert (made.actor, made.reason) == ("cora", "it was right")
    assert f"vocabulary version {made.number}" in said(answer)
    assert cora.get(address("change", made.number)).context["lines"] == shown
    assert made.snapshot == VocabularyVersion.objects.get(number=older).snapshot
    assert cora.get(address("compare", older)).context["lines"] == []


def test_what_is_as_it_was_cannot_be_restored_again(older, cora):
    restore(cora, older)
    assert address("restore", older) not in cora.get(address("compare", older)).text
    before = snapshot.newest_version()
    assert "The vocabulary is unchanged." in said(restore(cora, older))
    assert snapshot.newest_version() == before


def test_a_change_after_the_comparison_is_a_conflict(older, cora):
    seen = snapshot.newest_version()
    with snapshot.change(actor="olga", reason="meanwhile"):
        StageAlias.objects.create(spelling="Elsewhere", key="elsewhere", reason="not_a_stage")
    page = restore(cora, older, expected_version=seen)
    assert "olga made vocabulary version" in said(page)
    assert not StageAlias.objects.filter(key="fondo a").exists()
    assert page.context["form"]["expected_version"].value() == snapshot.newest_version()


def test_it_takes_a_reason_and_a_post(older, cora):
    before = snapshot.newest_version()
    assert restore(cora, older, reason="").context["form"].errors["reason"]
    assert cora.get(address("restore", older)).status_code == 405
    assert snapshot.newest_version() == before


def test_a_viewer_compares_and_does_not_restore(older, browser_with):
    viewer = browser_with("view_vocabularyversion")
    page = viewer.get(address("compare", older))
    assert page.context["lines"]
    assert address("restore", older) not in page.text
    assert restore(viewer, older).status_code == 403


def test_nobody_without_permission_looks(older, browser_with):
    nobody = browser_with()
    assert {nobody.get(address(what, older)).status_code for what in ("vocabulary", "compare")} == {
        403
    }


def test_a_version_that_never_was_is_not_found(cora):
    for what in ("vocabulary", "compare"):
        assert cora.get(address(what, 987654)).status_code == 404
    assert restore(cora, 987654).status_code == 404


def test_long_differences_are_cut_and_say_so(older, cora, monkeypatch):
    monkeypatch.setattr("stageapp.admin.vocabulary_versions.SHOWN", 2)
    page = cora.get(address("compare", older))
    assert (len(page.context["lines"]), page.context["lines_total"]) == (2, 3)
    assert "the first 2 are shown" in page.text
