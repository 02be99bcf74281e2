"""The rules as data: what a pattern may hold so that Python and PostgreSQL read it alike."""

import re

import pytest
from hypothesis import given

from stageapp.vocabulary import text as rules
from stageapp.vocabulary.text import fold
from tests.vocabulary import hard_values

RULES = rules.read_rules()
REASONS = {
    *("unmapped", "blank", "ambiguous", "between_stages"),
    *("multiple_stages", "not_a_stage", "exit_status", "junk"),
}
# What Python and PostgreSQL read differently, or only one of them reads, outside of bracket
# expressions.
FORBIDDEN = {
    "class escape, anchor or back reference": r"\\[a-zA-Z0-9]",
    "lazy or possessive quantifier": r"[*+?}][?+]",
    "group other than (?: (?= (?!": r"\(\?(?![:=!])",
    "bound that PostgreSQL refuses": r"\{(?![0-9]+(?:,[0-9]*)?\})",
    "capture inside a look-ahead, which PostgreSQL does not count": r"\(\?[=!](?:[^()]|\(\?:[^()]*\))*\((?!\?)",
    "PostgreSQL's own prefix": r"^\*\*\*",
}
BRACKET = re.compile(r"\[\^?[^\]]*\]")
ESCAPED = re.compile(r"\\[^a-zA-Z0-9]")  # a literal character in both engines


def faults(pattern):
    """Return the names of what makes a pattern unfit for two engines."""
    bare = ESCAPED.sub("x", pattern)
    found = [f"bracket {b}" for b in BRACKET.findall(bare) if re.search(r"\[[:.=]|\\", b[1:])]
    return found + [
        name for name, unfit in FORBIDDEN.items() if re.search(unfit, BRACKET.sub("_", bare))
    ]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.position}-{rule.kind}")
def test_a_rule_is_written_in_what_both_engines_share(rule):
    assert faults(rule.pattern) == []
    assert rule.pattern.isprintable()


@pytest.mark.parametrize(
    "pattern",
    [
        r"\bseed",
        r"a+?",
        r"(?i)a",
        r"(?<=a)b",
        r"(?P<x>a)",
        r"(a)\1",
        r"a{,3}",
        r"[\d]",
        r"[[:alpha:]]",
        r"a*+",
        r"(?=(a))b",
        r"\s",
    ],
)
def test_the_check_refuses_what_only_one_engine_understands(pattern):
    assert faults(pattern)


@pytest.mark.parametrize(
    "pattern",
    [r"^a(?:b|c)+$", r"(?=(?:a|b))c", r"\\+n", r"[*+?]", r"\(?a\)?", r"[\[\]]", r"x{1,2}"],
)
def test_the_check_lets_the_common_subset_pass(pattern):
    assert faults(pattern) == []


def test_outcomes_are_replacements_or_reasons():
    for rule in RULES:
        if rule.kind == "verdict":
            assert rule.outcome in REASONS
        else:
            groups = [int(g) for g in re.findall(r"\\([0-9])", rule.outcome)]
            assert re.sub(r"\\[0-9]", "", rule.outcome).count("\\") == 0
            assert max(groups, default=0) <= re.compile(rule.pattern).groups


def test_rewrites_come_before_verdicts_and_positions_count_up():
    assert [rule.position for rule in RULES] == list(range(1, len(RULES) + 1))
    kinds = [rule.kind for rule in RULES]
    assert kinds == sorted(kinds)  # "rewrite" < "verdict"


def test_a_session_of_postgresql_keeps_every_pattern_compiled():
    # It keeps 32. One more than that and each look-up compiles all of them anew: 6 ms instead of
    # 0.2 ms.
    assert len(RULES) <= 30


@given(hard_values.values)
def test_a_rewrite_never_matches_nothing(raw):
    text = fold(raw) or ""
    for rule in RULES:
        if rule.kind == "rewrite":
            assert all(match[0] for match in re.finditer(rule.pattern, text)), rule


def test_named_parts_are_written_out(tmp_path):
    file = tmp_path / "rules.tsv"
    file.write_text(
        "# a "
        "comment\nword\ta|b\tletter\tx\nword\t(?:<letter>)c\tboth\tx\nrewrite\t^<both>$\t\\s\tx\n"
    )
    assert rules.read_rules(file) == [rules.Rule(1, "rewrite", "^(?:a|b)c$", " ")]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("rewrite\ta\tb", "Line 1: .*four columns"),
        ("guess\ta\tb\tc", "Line 1: write word, rewrite or verdict"),
        ("rewrite\t<missing>\tb\tc", "<missing>"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, line, complaint):
    file = tmp_path / "rules.tsv"
    file.write_text(line + "\n")
    with pytest.raises(ValueError, match=complaint):
        rules.read_rules(file)
