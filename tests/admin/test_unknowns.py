"""The list of the unknown queue and the page of one value: what nothing maps, seen but never
decided by looking.
"""

import csv
import io

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from stageapp.models import VocabularyVersion
from stageapp.models.unknowns import UnknownEntry
from stageapp.unknowns import decisions, records
from tests.unknowns.conftest import TARGET, find

pytestmark = pytest.mark.django_db

LIST = reverse("admin:stageapp_unknownentry_changelist")
EXPORT = reverse("admin:stageapp_unknownentry_export")
WHO = {"actor": "petra", "reason": "asked them"}
BIDI = "Fondo \u202exes\u202c"


def page_of(chosen):
    return reverse("admin:stageapp_unknownentry_change", args=[chosen.pk])


def keys(page):
    return [entry.key for entry in page.context["cl"].result_list]


@pytest.fixture
def viewer(browser_with):
    return browser_with("view_unknownentry")


def test_the_greatest_impact_comes_first(entry, sent, viewer):
    records.record_import("a file", {"Fondo A": 3, "Fondo B": 1})
    for _ in range(4):
        sent("Fondo C")
    assert keys(viewer.get(LIST)) == ["fondo c", "fondo a", "fondo b"]
    assert keys(viewer.get(LIST, {"o": "-4"})) != []


def test_it_shows_what_is_open_and_other_states_when_asked(entry, viewer):
    entry("Fondo A", "Fondo B", "Fondo C", "Fondo D")
    decisions.map_to([find("Fondo A")], "seed", **WHO)
    decisions.declare([find("Fondo B")], "not_a_stage", **WHO)
    decisions.ignore([find("Fondo C")], **WHO)
    shown = {
        state: keys(viewer.get(LIST, {"state": state}))
        for state in ("open", "mapped", "declared", "ignored")
    }
    assert shown == {
        "open": ["fondo d"],
        "mapped": ["fondo a"],
        "declared": ["fondo b"],
        "ignored": ["fondo c"],
    }
    assert keys(viewer.get(LIST)) == ["fondo d"]
    assert len(keys(viewer.get(LIST, {"state": "all"}))) == 4
    assert keys(viewer.get(LIST, {"state": "' OR 1"})) == ["fondo d"]


def test_it_is_filtered_by_where_a_value_was_seen(entry, sent, viewer):
    entry("Fondo A")
    sent("Fondo B")
    records.record_bypass(TARGET, [("", "Fondo C", 2)])
    shown = {
        kind: keys(viewer.get(LIST, {"kind": kind}))
        for kind in ("import", "traffic", "bypass", "table")
    }
    assert shown == {
        "import": ["fondo a"],
        "traffic": ["fondo b"],
        "bypass": ["fondo c"],
        "table": [],
    }


def test_it_is_filtered_by_reason_and_searched_without_formatting(entry, viewer):
    entry("Fondo A", "Series A or B")
    assert keys(viewer.get(LIST, {"reason": "multiple_stages"})) == [find("Series A or B").key]
    assert keys(viewer.get(LIST, {"q": "FONDO-a"})) == ["fondo a"]


def test_each_row_says_who_sent_it_how_often_and_what_it_may_have_meant(entry, sent, viewer):
    entry("Sead", place="Fund I")
    sent("Sead", consumer="alpha")
    row = viewer.get(LIST).context["cl"].result_list[0]
    assert sorted(row.where) == [("alpha", 1), ("import Fund I", 1)]
    assert row.suggested == ("seed",)
    assert "alpha" in viewer.get(LIST).text


def test_a_page_of_it_costs_the_same_however_many_values_it_lists(entry, viewer):
    entry("Fondo 0")
    viewer.get(LIST)
    with CaptureQueriesContext(connection) as few:
        viewer.get(LIST)
    records.record_import("a file", {f"Fondo X{chr(97 + n)}": 1 for n in range(20)})
    with CaptureQueriesContext(connection) as many:
        assert len(keys(viewer.get(LIST))) == 21
    assert len(many) == len(few)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("<script>alert(1)</script> fondo", "&lt;script&gt;"),
        (BIDI, r"\u202e"),
        ("Fondo \x00 X", r"\x00"),
        ("Fondo \ud800 X", r"\ud800"),
        ("Fondo\u200b\u2066 Y", r"\u2066"),
        ("Fondo Ñandú", "Fondo Ñandú"),
    ],
)
def test_what_cannot_be_seen_is_shown_as_an_escape_and_letters_as_they_are(
    entry, viewer, raw, seen
):
    chosen = entry(raw)
    for text in (viewer.get(LIST).text, viewer.get(page_of(chosen)).text):
        assert seen in text
        assert "<script>alert" not in text
        assert not set("\x00\u202e\u202c\u2066\ud800") & set(text)


def test_the_page_of_a_value_shows_examples_places_and_the_suggestion_with_what_it_means(
    entry, sent, viewer
):
    chosen = entry("Sead", "sead ", place="Fund I")
    sent("SEAD", consumer="alpha", endpoint="simulate")
    text = viewer.get(page_of(chosen)).text
    for part in ("&quot;sead &quot;", "Fund I", "alpha", "simulate", "imports", "requests", "Seed"):
        assert part in text


def test_looking_decides_nothing(entry, browser_with):
    browser = browser_with("curate_vocabulary", "view_unknownentry")
    chosen, before = entry("Sead"), VocabularyVersion.objects.count()
    for path in (LIST, page_of(chosen), EXPORT):
        assert browser.get(path).status_code == 200
    assert (find("Sead").state, VocabularyVersion.objects.count()) == ("open", before)


def test_the_page_says_who_decided_and_in_which_version(entry, viewer):
    chosen = entry("Fondo A")
    version = decisions.map_to([chosen], "seed", **WHO)
    text = viewer.get(page_of(chosen)).text
    for part in (
        "petra",
        "asked them",
        f"vocabulary version {version.number}",
        "<strong>Seed</strong>",
    ):
        assert part in text


def test_a_viewer_is_offered_no_decision_and_no_selection(entry, viewer):
    chosen = entry("Fondo A")
    assert "/decide/" not in viewer.get(page_of(chosen)).text
    assert 'name="action"' not in viewer.get(LIST).text


def test_the_queue_is_exported_as_a_file_that_no_spreadsheet_calculates(entry, viewer):
    entry("=cmd|' /C calc'!A0 fondo", "\x00 fondo", "Sead")
    decisions.ignore([find("Sead")], **WHO)
    answer = viewer.get(EXPORT)
    assert answer["content-type"] == "text/csv; charset=utf-8"
    assert answer["content-disposition"].startswith('attachment; filename="unknown-values-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert len(rows) == 2
    assert any(row["spelling"].startswith("'=cmd") for row in rows)
    ignored = list(
        csv.DictReader(io.StringIO(viewer.get(EXPORT, {"state": "ignored"}).content.decode()))
    )
    assert [row["spelling"] for row in ignored] == ["Sead"]


def test_without_permission_there_is_no_queue(entry, browser_with):
    chosen, nobody = entry("Fondo A"), browser_with()
    assert {nobody.get(path).status_code for path in (LIST, EXPORT, page_of(chosen))} == {403}
    assert UnknownEntry.objects.count() == 1
