"""Aliases as CSV: what is written comes back, what is wrong is refused by line, and it is all or
nothing.
"""

import csv
import io

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from stageapp.models.vocabulary import Stage, StageAlias, VocabularyVersion
from stageapp.unknowns import alias_files, queue, records
from stageapp.unknowns.alias_files import FileRefused
from stageapp.vocabulary import snapshot
from stageapp.vocabulary import text as reduction
from stageapp.vocabulary.text import alias_refusal
from tests.unknowns.conftest import find

pytestmark = pytest.mark.django_db
WHO = {"actor": "petra", "reason": "from a sheet"}
# Text that PostgreSQL can hold, weighted to what breaks CSV and spreadsheets.
CELL = st.text(
    st.one_of(
        st.sampled_from("'=+-@\t\r\n\",; "), st.characters(codec="utf-8", exclude_characters="\0")
    ),
    max_size=20,
)


def compare(text, **options):
    return alias_files.compare(io.BytesIO(text.encode()), **options)


def export():
    file = io.StringIO(newline="")
    alias_files.export_aliases(file)
    return file.getvalue()


def aliases():
    return sorted(
        StageAlias.objects.values_list("source", "key", "stage__slug", "reason", "comment"), key=str
    )


def test_an_export_taken_back_changes_nothing():
    diff = compare(export())
    assert (diff.changes, diff.refused, diff.unchanged) == ([], [], StageAlias.objects.count())
    assert alias_files.apply(diff, **WHO) is None


def test_an_export_rebuilds_the_aliases_that_are_gone():
    before, text = aliases(), export()
    StageAlias.objects.all().delete()
    version = alias_files.apply(compare(text), **WHO)
    assert aliases() == before
    assert version.diff["aliases"]["added"]


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=CELL, comment=CELL, source=CELL)
@example(words="=cmd|' /C calc'!A0", comment="@SUM(1)", source="'=1")
@example(words='"quoted", and\r\nbroken', comment="'", source="-")
@example(words="\tx", comment="", source="")
def test_hostile_cells_come_back_as_they_were(words, comment, source):
    spelling = f"{words} fondo"
    reduced = reduction.reduce(spelling)
    assume(not alias_refusal(spelling, names_stage=True))
    stage = Stage.objects.get(slug="seed")
    StageAlias.objects.filter(key=reduced.key).delete()
    alias = StageAlias.objects.create(
        spelling=spelling, key=reduced.key, source=source.strip(), stage=stage, comment=comment
    )
    before, text = aliases(), export()
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell[:1] in set("=+-@\t\r") for cell in row)
    assert compare(text).changes == []
    alias.delete()
    diff = compare(text)
    assert not diff.refused
    alias_files.apply(diff, **WHO)
    assert aliases() == before
    again = StageAlias.objects.get(key=reduced.key, source=source.strip())
    assert again.spelling == spelling
    again.delete()


def test_the_diff_tells_added_changed_removed_and_unchanged():
    with snapshot.change(**WHO):
        for spelling in ("Fondo X", "Fondo Y", "Fondo Z"):
            key = reduction.reduce(spelling).key
            StageAlias.objects.create(
                spelling=spelling, key=key, stage=Stage.objects.get(slug="seed")
            )
    kept = "\n".join(line for line in export().splitlines() if "Fondo" not in line)
    text = (
        kept
        + "\nFondo X,,growth,,\nFondo Y,,seed,,\nFondo W,,,not_a_stage,\nfondo w,a file,seed,,\n"
    )
    diff = compare(text, remove_missing=True)
    assert [(c.spelling, c.old, c.new) for c in diff.changed] == [("Fondo X", "seed", "growth")]
    assert [(c.spelling, c.source, c.new) for c in diff.added] == [
        ("Fondo W", "", "not_a_stage"),
        ("fondo w", "a file", "seed"),
    ]
    assert [(c.spelling, c.old, c.new) for c in diff.removed] == [("Fondo Z", "seed", None)]
    before = VocabularyVersion.objects.count()
    alias_files.apply(diff, **WHO)
    assert VocabularyVersion.objects.count() == before + 1
    meaning_of = snapshot.load().normalize
    assert (meaning_of("Fondo X").stage, meaning_of("Fondo W").reason) == ("growth", "not_a_stage")
    assert (meaning_of("Fondo W", "a file").stage, meaning_of("Fondo Z").stage) == ("seed", None)


def test_nothing_is_removed_unless_asked():
    assert compare("spelling,stage\nFondo X,seed\n").removed == []


def test_a_column_that_is_missing_leaves_comments_alone():
    StageAlias.objects.filter(key="seed").update(comment="mine")
    diff = compare("spelling,stage\nSeed,seed\n")
    assert (diff.unchanged, diff.changes) == (1, [])


def test_a_comment_alone_may_change():
    diff = compare("spelling,stage,comment\nSeed,seed,new\n")
    alias_files.apply(diff, **WHO)
    assert StageAlias.objects.get(key="seed", source="").comment == "new"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Fondo X,,Series A,,", "is not an active stage"),
        ("Fondo X,,,debt,", "is not a valid reason"),
        ("Fondo X,,seed,junk,", "give either a stage or a reason"),
        ("Fondo X,,,,", "give either a stage or a reason"),
        (",,seed,,", "the spelling is empty"),
        ("   ,,seed,,", "never take effect"),
        ("\U0010ffff,,seed,,", "never take effect"),
        ("Fondo \0,,seed,,", "NUL"),
        ("Series A or B,,series_a,,", "multiple_stages"),
        ("n/a,,seed,,", "blank"),
        (f"Fondo X,{'x' * 201},seed,,", "longer than 200"),
        ("Fondo X,,seed", "3 columns, the header has 5"),
    ],
)
def test_a_bad_line_is_refused_with_its_number_and_why(line, why):
    diff = compare(f"spelling,source,stage,reason,comment\nFondo Y,,seed,,\n{line}\n")
    assert [number for number, _ in diff.refused] == [3]
    assert why in diff.refused[0][1]
    with pytest.raises(FileRefused, match="1 lines are refused"):
        alias_files.apply(diff, **WHO)
    assert not StageAlias.objects.filter(key="fondo y").exists()


def test_two_lines_that_disagree_are_refused_and_two_that_agree_are_one():
    diff = compare("spelling,stage\nFondo X,seed\nfondo-x,growth\nFONDO X,seed\n")
    assert diff.refused == [(3, "it means growth here, but seed in line 2")]
    assert len(diff.added) == 1


def test_what_is_held_already_is_not_refused_again():
    alias = StageAlias.objects.create(
        spelling="Series A or B",
        key=reduction.reduce("Series A or B").key,
        stage=Stage.objects.get(slug="series_a"),
    )
    assert compare(f"spelling,stage\n{alias.spelling},series_a\n").refused == []


@pytest.mark.parametrize("text", ["", "value,meaning\nx,y\n", "spelling,comment\nx,y\n"])
def test_a_file_without_its_columns_is_refused(text):
    with pytest.raises(FileRefused):
        compare(text)


def test_a_vocabulary_that_changed_since_the_diff_is_not_overwritten():
    diff = compare("spelling,stage\nFondo X,seed\n")
    with snapshot.change(**WHO):
        StageAlias.objects.create(
            spelling="Fondo X", key="fondo x", stage=Stage.objects.get(slug="growth")
        )
    with pytest.raises(FileRefused, match="Check the diff again"):
        alias_files.apply(diff, **WHO)
    assert snapshot.load().normalize("Fondo X").stage == "growth"


def queue_file():
    file = io.StringIO(newline="")
    queue.export_queue(file)
    return file.getvalue()


def test_the_queues_file_is_filled_in_and_taken_back():
    records.record_import(
        "a file", {"Fondo X": 3, "Fondo Y": 2, "=Fondo Z": 1, "\x00\ud800": 5, "": 1}
    )
    header, *rows = csv.reader(io.StringIO(queue_file(), newline=""))
    assert [row[0] for row in rows] == ["", "Fondo X", "Fondo Y", "", "'=Fondo Z"]
    assert rows[0][-1] == '["\\"\\\\u0000\\\\ud800\\""]'
    assert compare(queue_file()).undecided == 5
    rows[1][header.index("stage")] = "seed"
    rows[4][header.index("reason")] = "not_a_stage"
    filled = io.StringIO(newline="")
    csv.writer(filled).writerows([header, *rows])
    diff = compare(filled.getvalue())
    assert (len(diff.added), diff.undecided, diff.refused) == (2, 3, [])
    alias_files.apply(diff, **WHO)
    assert [find(raw).state for raw in ("Fondo X", "Fondo Y", "=Fondo Z")] == [
        "mapped",
        "open",
        "declared",
    ]
    assert find("Fondo X").decided_by == "petra"


def test_spellings_without_a_key_are_no_duplicates_of_each_other():
    diff = compare("spelling,stage\n\ue000,seed\n\ue001,series_a\n")
    assert [line for line, _ in diff.refused] == [2, 3]
    assert all("could never take effect" in why for _, why in diff.refused)
