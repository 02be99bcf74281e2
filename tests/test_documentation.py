"""The documents tell only of commands, files and variables that exist."""

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from django.urls import Resolver404, resolve

from stageapp import conf

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / "README.md", PROJECT / "CHANGELOG.md", *sorted((PROJECT / "docs").glob("*.md"))]
COMMAND = re.compile(r"python manage\.py ([^`\n]+)")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PLACE = re.compile(r"\]\(([^)#:]*)#([^)]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
ADDRESS = re.compile(r"(?:http://127\.0\.0\.1:8000|GET |POST |`)(/[a-z_][^\s`\"'?]*)")


def found(pattern: re.Pattern[str], *pages: Path) -> list[str]:
    return sorted(
        {match for page in pages for match in pattern.findall(page.read_text(encoding="utf-8"))}
    )


def parse(line: str) -> None:
    """Parse a command line as the command itself would; CommandError when it would not take it."""
    name, *arguments = shlex.split(line, comments=True)
    command = load_command_class(get_commands()[name], name)
    command.create_parser("manage.py", name).parse_args(arguments)


@pytest.mark.parametrize("line", found(COMMAND, *PAGES))
def test_a_command_in_the_documents_is_one_that_the_program_takes(line):
    parse(line)


@pytest.mark.parametrize(
    "line", ["normalization plan --targets x", "mode set strict --reason x", "mode"]
)
def test_a_command_that_does_not_exist_would_be_seen(line):
    with pytest.raises(CommandError):
        parse(line)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).is_file()] == []


def places(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as web pages of Markdown make them."""
    headings = HEADING.findall(page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_into_a_page_leads_to_a_heading(page):
    links = PLACE.findall(page.read_text(encoding="utf-8"))
    assert [
        (to, at) for to, at in links if at not in places(page.parent / to if to else page)
    ] == []


@pytest.mark.parametrize("address", found(ADDRESS, PROJECT / "README.md"))
def test_every_address_leads_somewhere(address):
    try:
        match = resolve(address)
    except Resolver404:
        pytest.fail(f"{address} leads nowhere")
    assert match.func.__name__ != "no_such_resource"


def test_every_variable_in_the_documents_is_a_documented_one():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"STAGE_[A-Z_]*[A-Z]", text)) - {row.name for row in conf.ROWS} == set()


def test_the_thresholds_in_the_documents_are_those_that_count():
    gates, guard = conf.gates(), conf.auto_downgrade()
    text = " ".join((PROJECT / "docs" / "rollout.md").read_text(encoding="utf-8").split())
    sentences = [
        f"an audit of the consumers at most {gates.audit_days:g} days ago",
        f"after {gates.canary_hours:g} h at 10 % or more",
        f"after {gates.half_hours:g} h at 50 % or more",
        f"{gates.done_hours:g} h at 100 %, {gates.day_sample} enforced requests or more in them",
        f"The last {gates.warn_days} whole days (UTC) lie in the warn period",
        f"each has {gates.day_sample} requests or more, and below {gates.unknown_percent:g} % of",
        f"has more than {gates.hour_unknown_percent:g} %",
        f"An hour with fewer than {gates.hour_sample} requests",
        f"At most {gates.warn_max_days} days may be spent in `warn`",
        f"The last {gates.green_minutes} whole minutes have {gates.minute_sample} such requests",
        f"below {gates.error_percent:g} % end in an error",
        f"below {gates.slow_percent:g} % of the validations take longer than 1 ms",
        f"more than {guard.percent:g} % were refused in each of {guard.minutes} minutes",
        f"({guard.sample} requests or more in all), or",
        f"more than {guard.fast_percent:g} % were refused in each 10 seconds of "
        f"{guard.fast_seconds} ({guard.fast_sample} requests or more in all)",
        f"`STAGE_GATE_BACKUP_HOURS` ({gates.backup_hours:g})",
        f"looked in the last {conf.drift_look_seconds() / 60:g} minutes",
    ]
    assert [sentence for sentence in sentences if sentence not in text] == []


@pytest.mark.parametrize("reason, limit", conf.settings.hold.items())
def test_the_limits_in_the_documents_are_those_that_hold_a_run(reason, limit):
    text = (PROJECT / "docs" / "runs.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| `{reason}` \|.*\| {limit:,.10g} \|$", text, re.MULTILINE)
