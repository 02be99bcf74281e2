"""Aliases as CSV through the admin: what is shown is what is imported, by who saw it, on what
they saw.
"""

import io
import itertools

import pytest
from django.core import signing
from django.urls import reverse

from stageapp.models import Stage, StageAlias, VocabularyVersion
from stageapp.unknowns import decisions
from stageapp.vocabulary import snapshot
from tests.unknowns.conftest import find

pytestmark = pytest.mark.django_db

EXPORT = reverse("admin:stageapp_stagealias_export")
IMPORT = reverse("admin:stageapp_stagealias_import")
APPLY = reverse("admin:stageapp_stagealias_apply")
HEAD = "spelling,stage,reason,source\r\n"


@pytest.fixture
def cora(browser_with):
    """Return the browser of a curator."""
    return browser_with("curate_vocabulary", "view_stagealias", name="cora")


def upload(browser, text, **more):
    content = text if isinstance(text, bytes) else text.encode()
    file = io.BytesIO(content)
    file.name = "aliases.csv"
    return browser.post(IMPORT, {"file": file, "encoding": "utf-8", **more})


def apply(browser, page, reason="from a sheet", **more):
    form = {"seal": page.context["seal"], "reason": reason, **more}
    return browser.post(APPLY, form, follow=True)


def said(answer):
    return " ".join(str(message) for message in answer.context["messages"])


def newest():
    return VocabularyVersion.objects.first()


def aliases():
    return sorted(
        StageAlias.objects.values_list("source", "key", "stage__slug", "reason", "comment"), key=str
    )


def test_an_export_taken_back_changes_nothing_and_offers_nothing_to_confirm(cora):
    page = upload(cora, cora.get(EXPORT).content)
    assert (page.context["lines_total"], page.context["diff"].unchanged) == (
        0,
        StageAlias.objects.count(),
    )
    assert APPLY not in page.text


def test_an_export_rebuilds_what_is_gone(cora):
    file, before = cora.get(EXPORT).content, aliases()
    with snapshot.change(actor="petra", reason="a mistake"):
        StageAlias.objects.filter(stage__slug="seed").delete()
    page = upload(cora, file)
    assert page.context["diff"].added
    apply(cora, page)
    assert aliases() == before
    assert (newest().actor, newest().reason) == ("cora", "from a sheet")


def test_a_file_is_shown_first_and_imported_as_one_version(cora):
    with snapshot.change(actor="petra", reason="before"):
        StageAlias.objects.create(
            spelling="Fondo B", key="fondo b", stage=Stage.objects.get(slug="seed")
        )
    before = newest().number
    page = upload(
        cora, HEAD + "Fondo A,growth,,\r\nFondo B,,not_a_stage,\r\nFondo A,seed,,alpha\r\n"
    )
    assert [(line["kind"], line["spelling"]) for line in page.context["lines"]] == [
        ("added", "'Fondo A'"),
        ("added", "'Fondo A'"),
        ("changed", "'Fondo B'"),
    ]
    assert newest().number == before
    answer = apply(cora, page)
    assert VocabularyVersion.objects.filter(number__gt=before).count() == 1
    assert f"vocabulary version {newest().number}" in said(answer)
    now = snapshot.load()
    assert [now.normalize("fondo a", source).stage for source in ("", "alpha")] == [
        "growth",
        "seed",
    ]
    assert now.normalize("Fondo B").reason == "not_a_stage"


def test_refused_lines_are_named_with_number_and_reason_and_stop_the_whole_file(cora):
    page = upload(
        cora, HEAD + "Fondo A,growth,,\r\nFondo B,series_z,,\r\n,seed,,\r\nSeries A or B,seed,,\r\n"
    )
    assert [line for line, _ in page.context["refused"]] == [3, 4, 5]
    for words in ("is not an active stage", "the spelling is empty", "multiple_stages"):
        assert words in page.text
    assert page.context["seal"] == ""
    assert APPLY not in page.text


def test_aliases_that_the_file_does_not_name_go_when_that_was_asked_for(cora):
    page = upload(cora, HEAD + "Seed,seed,,\r\n", remove_missing="on")
    assert len(page.context["diff"].removed) == StageAlias.objects.count() - 1
    apply(cora, page)
    assert list(StageAlias.objects.values_list("key", flat=True)) == ["seed"]


def test_a_queue_filled_in_by_a_person_is_taken_as_decisions(entry, browser_with):
    entry("Fondo A", "Fondo B")
    browser = browser_with("curate_vocabulary", "view_unknownentry", "view_stagealias")
    lines = (
        browser.get(reverse("admin:stageapp_unknownentry_export"))
        .content.decode()
        .splitlines(keepends=True)
    )
    filled = [line.replace("Fondo A,,,", "Fondo A,,seed,") for line in lines]
    page = upload(browser, "".join(filled))
    assert (len(page.context["diff"].added), page.context["diff"].undecided) == (1, 1)
    apply(browser, page)
    assert (find("Fondo A").state, find("Fondo B").state) == ("mapped", "open")
    assert decisions.why_not(find("Fondo B"), names_stage=True) == ""


def test_a_vocabulary_that_changed_after_the_preview_is_a_conflict_that_says_so(cora):
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n")
    with snapshot.change(actor="petra", reason="meanwhile"):
        StageAlias.objects.create(spelling="Elsewhere", key="elsewhere", reason="not_a_stage")
    answer = apply(cora, page)
    assert "petra made vocabulary version" in said(answer)
    assert answer.redirect_chain[0][0] == IMPORT
    assert not StageAlias.objects.filter(key="fondo a").exists()


def test_a_difference_is_imported_once(cora):
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n")
    apply(cora, page)
    before = newest().number
    assert "made vocabulary version" in said(apply(cora, page))
    assert newest().number == before


def test_a_difference_cannot_be_forged_or_used_by_another(cora, browser_with):
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n")
    other = browser_with("curate_vocabulary", name="olga")
    forged = signing.dumps(
        [newest().number, 0, 0, [[2, "x", "", "fondo a", None, "seed", None]]], salt="mine"
    )
    for browser, seal in (
        (other, page.context["seal"]),
        (cora, forged),
        (cora, page.context["seal"] + "x"),
        (cora, ""),
    ):
        assert "not yours" in said(apply(browser, page, seal=seal))
    assert not StageAlias.objects.filter(key="fondo a").exists()


def test_a_difference_of_yesterday_is_refused(cora, monkeypatch):
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n")
    monkeypatch.setattr("stageapp.admin.vocabulary.VALID_SECONDS", -1)
    assert "older than a day" in said(apply(cora, page))


def test_without_a_reason_the_same_difference_is_shown_again(cora):
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n")
    again = apply(cora, page, reason=" ")
    assert again.context["form"].errors["reason"]
    assert (again.context["lines_total"], again.context["seal"]) == (1, page.context["seal"])
    apply(cora, again)
    assert snapshot.load().normalize("Fondo A").stage == "growth"


def test_a_file_that_is_too_large_is_dropped_unread_and_said(cora, settings):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 1000
    page = upload(cora, HEAD + "Fondo A,growth,,\r\n" * 100)
    assert "The file is larger than 1000" in page.text
    assert "vocabulary import" in page.text


def test_more_changes_than_a_page_can_carry_are_sent_to_the_terminal(cora, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 32_768 + 200
    words = ["".join(letters) for letters in itertools.product("xyz", repeat=4)]
    page = upload(cora, HEAD + "".join(f"Fondo {word},growth,,\r\n" for word in words))
    assert "too many for one page" in page.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "The header"),
        (b"a,b\r\n1,2\r\n", "must contain the columns"),
        (b"spelling,stage\r\n" + b"x" * 1_000_001, "more than"),
        ("spelling,stage\r\nx,seed\r\n".encode("utf-16"), "UTF-16"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(cora, settings, content, words):
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = 2_000_000
    page = upload(cora, content)
    assert page.status_code == 200
    assert words in str(page.context["form"].errors["file"])


def test_without_a_file_it_asks_for_one(cora):
    page = cora.post(IMPORT, {"encoding": "utf-8"})
    assert "required" in str(page.context["form"].errors["file"])


def test_hostile_cells_are_shown_escaped(cora):
    page = upload(
        cora,
        HEAD + "<script>alert(1)</script> fondo,growth,,<b>src</b>\r\nFondo \u202ex,growth,,\r\n",
    )
    assert "<script>alert" not in page.text
    assert "<b>src" not in page.text
    assert "\u202e" not in page.text


def test_bytes_that_do_not_decode_are_refused_by_line(cora):
    page = upload(cora, HEAD.encode() + b"Fondo \xff,seed,,\r\n")
    assert page.context["refused"][0][0] == 2


def test_only_curators_import_and_viewers_may_export(browser_with):
    viewer = browser_with("view_stagealias")
    assert viewer.get(EXPORT).status_code == 200
    assert viewer.get(IMPORT).status_code == 403
    assert upload(viewer, HEAD).status_code == 403
    assert viewer.post(APPLY, {"seal": "", "reason": "x"}).status_code == 403
    assert browser_with(name="nobody").get(EXPORT).status_code == 403


def test_applying_takes_a_post(cora):
    assert cora.get(APPLY).status_code == 405
