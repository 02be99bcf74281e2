"""The code search: what is a stage literal, where it stands, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stageapp.consumers.audit.code import scan, stage_literals
from stageapp.consumers.audit.source_tree import SourceFile
from stageapp.vocabulary.snapshot import load, shipped

VOCABULARY = shipped()
FAMILIES = ["python", "c", "mixed", "markup", "hash", "sql", "json", "yaml", "settings", "table"]


def found(text, family="python", path="file"):
    """Return (line, column, literal, what to write or the suggestions) of every finding that is
    not silenced.
    """
    findings = stage_literals(SourceFile(path, family, text), VOCABULARY)
    return [
        (it.line, it.column, it.literal, it.send or it.suggestions)
        for it, silenced in findings
        if not silenced
    ]


@pytest.mark.parametrize(
    "literal", ["Series A", "series-b", "SERIES C", "Pre Seed", "PreSeed", "Round B", "Late Seed"]
)
def test_what_can_be_nothing_but_a_stage_is_found_anywhere(literal):
    assert [it[2] for it in found(f'x = f("{literal}")')] == [literal]


@pytest.mark.parametrize(
    "literal", ["Seed Round", "Growth Equity", "Seed funding", "Series Seed", "Amorçage", "A轮"]
)
def test_so_is_one_that_names_the_deal_or_is_written_in_other_letters(literal):
    assert [it[2] for it in found(f'x = "{literal}"')] == [literal]


@pytest.mark.parametrize("literal", ["series_a", "pre_seed", "seed", "growth", "series_e_plus"])
def test_the_slug_is_never_found(literal):
    assert found(f'stage = "{literal}"\nstages = ["{literal}", "series_b"]') == []


@pytest.mark.parametrize(
    "line",
    [
        'os.environ["SEED"]',
        'random.seed("Seed")',
        'label = "Growth"',
        'add("Seed:")',
        'help="the seed"',
        'x = "Growth "',
        'log("new seed")',
        'title = "Seed 1"',
        'plot(name="A")',
        'x = "series"',
        'df["Series 1"]',
        'x = "A round of talks"',
        'x = "between one and two"',
        'if unit in ("feed", "need", "send"): pass',
        'x = "a/b"',
        'x = "see series a below"',
    ],
)
def test_words_that_mean_other_things_too_are_not_found_without_a_reason(line):
    assert found(line) == []


@pytest.mark.parametrize(
    "line",
    [
        'stage = "Seed"',
        'Company(stage="Growth")',
        'row["stage"] == "Seed"',
        'data = {"stage": "Growth"}',
        'funding_round = ("Seed",)',
        'x = ["Seed", "Series A"]',
        'x = ["Growth", "series_b"]',
        'set_stage("SEED")',
    ],
)
def test_they_are_found_where_the_line_speaks_of_stages(line):
    assert [it[3] for it in found(line) if it[2] != "Series A"] in (["seed"], ["growth"])


def test_a_stage_within_two_lines_speaks_for_them():
    choices = (
        'X = [\n    "Seed",\n    "Series A",\n    "other",\n    "Growth",\n    "more",\n    '
        '"Growth",\n]\n'
    )
    assert found(choices) == [
        (2, 5, "Seed", "seed"),
        (3, 5, "Series A", "series_a"),
        (5, 5, "Growth", "growth"),
    ]


@pytest.mark.parametrize(
    "line, suggested",
    [
        ('stage = "Seires B"', ("series_b",)),
        ('row["stage"] = "Growht"', ("growth",)),
        ('x = ["Series A", "Seires B"]', ("series_b",)),
        ('stage == "Seed/Series A"', ()),
        ('stage="Pre-Series A"', ()),
    ],
)
def test_an_unknown_is_found_where_the_code_says_that_it_is_a_stage(line, suggested):
    assert found(line)[-1][3] == suggested


@pytest.mark.parametrize(
    "line",
    ['stage = "build"', 'stage = "production"', 'name = "Seires B"', 'stages = "between_stages"'],
)
def test_an_unknown_that_looks_like_no_stage_is_not(line):
    assert found(line) == []


@pytest.mark.parametrize(
    "family, text, place",
    [
        ("python", 'a = 1\nb = "é", "Series A"\n', (2, 10)),
        ("python", 'sql = """\n  SELECT 1 WHERE stage = \'Series A\'\n"""\n', (2, 26)),
        ("python", 'print "x"  # Python 2\ny = "Series A"\n', (2, 5)),
        ("python", '"""Series A"""\ndef f():\n    "Series A"\n    return "Series A"\n', (4, 12)),
        ("python", 'x = "Series" " A"', (1, 5)),
        ("c", "// 'Series B'\n/* 'Series B' */ const a = 'Series A'; // don't", (2, 28)),
        ("c", "q := `\nSELECT 1 FROM x WHERE stage = 'Series A'`", (2, 31)),
        ("c", r'String s = "a \" b" + "Series\u0020A";', (1, 23)),
        ("mixed", "<Option value={1}>Series A</Option>", (1, 19)),
        ("markup", '<!-- "Series B" --><option value="Series A">', (1, 34)),
        ("hash", '# "Series B"\nstage = "Series A" # it\'s', (2, 9)),
        ("sql", "-- 'Series B'\nUPDATE x SET s = 'it''s', t = 'Series A'", (2, 31)),
        ("json", '{"a": ["x", "Series A"]}', (1, 13)),
        ("yaml", "# stage: Series B\nstage: Series A # one\n", (2, 8)),
        ("yaml", "stages:\n  - Series A\n  - series_b\n", (2, 5)),
        ("yaml", "x: [series_b, Series A]\n", (1, 15)),
        ("settings", "; stage = Series B\nstage = Series A\n", (2, 9)),
        ("table", "name,Series A\n1,Series B\n", (1, 6)),
        ("table", 'name,stage\n"two\nlines",x\nAcme,Series A\n', (4, 6)),
    ],
)
def test_each_language_is_read_by_its_own_rules_and_the_place_is_exact(family, text, place):
    assert [(line, column) for line, column, _, _ in found(text, family)] == [place]


@pytest.mark.parametrize(
    "family, text",
    [
        ("python", 'f"Series A {x}"'),
        ("python", '"raised a Series A in May, and a Series B in June"'),
        ("python", "# 'Series A'\nx = 1  # stage: 'Series A'"),
        ("c", "// stage = 'Series A'\n/* stage = 'Series A' */"),
        ("markup", "<p>They raised a Series A in May.</p><!-- <b>Series A</b> -->"),
        ("yaml", "# stage: Series A\ntext: They raised a Series A in May"),
        ("json", '{"text": "They raised a Series A in May"}'),
        ("sql", "-- stage = 'Series A'\nSELECT series_a FROM seed"),
        ("table", "name,note\nAcme,Series A\n"),
    ],
)
def test_prose_comments_and_data_are_not_literals(family, text):
    assert found(text, family) == []


def test_a_stage_column_makes_its_cells_stages_and_other_columns_stay_data():
    table = "company;Stage;note\nAcme;Seed;Series B\nBolt;Growht;x\n"
    assert [(it[0], it[2], it[3]) for it in found(table, "table")] == [
        (2, "Seed", "seed"),
        (3, "Growht", ("growth",)),
    ]


@pytest.mark.parametrize(
    "comment", ["# stages: ignore", "// stages:ignore", "/* stages: ignore */", "-- Stages"]
)
def test_a_comment_on_the_line_silences_it(comment):
    silenced = found(f'x = "Series A" {comment}', "c") == []
    assert silenced == ("ignore" in comment)


def test_a_folder_is_read_without_what_is_not_its_own(tmp_path):
    for name in (
        "a.py",
        "b.js",
        ".git/c.py",
        "node_modules/d.js",
        "env/e.py",
        "sub/f.sql",
        "g.png",
        "notes.txt",
        "run",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 'Series A'\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (tmp_path / "run").write_text("#!/usr/bin/env python3\nx = 'Series A'\n")
    (tmp_path / "binary.py").write_bytes(b"\x00'Series A'")
    (tmp_path / "large.py").write_text("x = 'Series A'\n" * 100)
    (tmp_path / "wide.py").write_text("x = 'Series A'\n", encoding="utf-16")
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nothing")
    audit = scan([str(tmp_path)], VOCABULARY, max_bytes=1000)
    names = [it.path.removeprefix(f"{tmp_path}/") for it in audit.literals]
    assert names == ["a.py", "b.js", "run", "wide.py", "sub/f.sql"]
    assert [path.removeprefix(f"{tmp_path}/") for path, _ in audit.left.too_large] == ["large.py"]
    assert audit.left.binary == 1
    assert audit.left.unreadable == []


def test_what_is_named_is_read_and_what_is_excluded_is_not(tmp_path):
    (tmp_path / "node_modules").mkdir()
    for name in ("node_modules/a.js", "node_modules/b.min.js", "c.unheard"):
        (tmp_path / name).write_text("x = 'Series A'")
    paths = [str(tmp_path / "node_modules"), str(tmp_path / "c.unheard")]
    audit = scan(paths, VOCABULARY, exclude=["*.min.js"])
    assert [it.path.rpartition("/")[2] for it in audit.literals] == ["a.js", "c.unheard"]


@given(st.text(), st.sampled_from(FAMILIES))
def test_any_text_can_be_read(text, family):
    for line, column, _, _ in found(text, family):
        assert line >= 1
        assert column >= 1


_PIECES = st.lists(
    st.sampled_from(
        [
            "'",
            '"',
            "`",
            "\\",
            "\n",
            "\r",
            "Series A",
            "stage",
            " = ",
            "{",
            "}",
            "f",
            "é",
            "#",
            "<",
            ">",
            ",",
            "/*",
            "'''",
        ]
    )
)


@given(_PIECES.map("".join), st.sampled_from(FAMILIES))
def test_any_mixture_of_quotes_and_stages_can_be_read_and_each_place_holds_its_literal(
    text, family
):
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line, column, literal, _ in found(text, family):
        if (
            "\\" not in text
            and "\n" not in literal
            and "\r" not in text
            and "'''" not in text
            and "f" not in text
        ):
            assert literal.split(" ")[0].strip("'\"") in lines[line - 1][column - 1 :]


def test_long_lines_without_an_end_are_read_in_linear_time():
    for family in FAMILIES:
        for piece in ("'", "stage", "\\", "<", "a ", "/*", "stage = ", ": a"):
            assert found(piece * 50_000, family) == []


@pytest.mark.django_db
def test_the_shipped_vocabulary_is_what_a_new_installation_begins_with():
    stored = load()
    assert (VOCABULARY.labels, VOCABULARY.aliases) == (stored.labels, stored.aliases)


def test_english_beside_a_stage_is_no_misspelt_stage():
    assert [it[2] for it in found('x = ["Series A", "send", "need"]')] == ["Series A"]


def test_a_silenced_line_is_counted_and_not_listed(tmp_path):
    (tmp_path / "a.py").write_text("x = 'Series A'  # stages: ignore\ny = 'Series B'\n")
    audit = scan([str(tmp_path)], VOCABULARY)
    assert ([it.literal for it in audit.literals], audit.ignored) == (["Series B"], 1)
