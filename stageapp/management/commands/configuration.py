"""`manage.py configuration`: the table of settings, as docs/configuration.md or as .env.example."""

import re
import textwrap
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from stageapp import conf

_MARKDOWN = """\
# Configuration

Everything has a default. The site in `config/` reads each name from the environment, or from `.env`;
[.env.example](../.env.example) has them to copy. `NAME_FILE` names a file that holds the value. An
empty variable counts as unset, and one with a wrong value stops the program with a sentence that says
what is allowed.

A project of yours that hosts the application sets the same names in its Django settings instead: numbers
as numbers, lists as lists. It has settings of its own in place of those marked *site*.

`python manage.py check` looks at all of them, also for names that do not exist. Thresholds that are the
same everywhere are in [rollout.md](rollout.md#the-gates). This page is written by
`python manage.py configuration --format markdown`.
"""

_ENV = """\
# Every environment variable of the project. Copy this file to .env and uncomment what you set; the
# environment itself wins over .env. Each line shows the default, unless the text says otherwise.
# Each NAME may also be given as NAME_FILE, the path of a file that holds the value (for secrets).
# Written by `python manage.py configuration --format env`.
"""


class Command(BaseCommand):
    """Print the table of settings."""

    help = "Print every setting with default, unit, bounds and meaning."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare --format."""
        parser.add_argument("--format", choices=["markdown", "env"], default="markdown")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print it."""
        self.stdout.write(markdown() if options["format"] == "markdown" else env(), ending="")


def markdown() -> str:
    """Return docs/configuration.md."""
    lines = [_MARKDOWN]
    for heading, rows in conf.sections():
        lines += [
            f"## {heading}",
            "",
            "| name | default | unit | allowed | meaning |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            default = row.written(row.default)
            cells = [
                f"`{row.name}`" + (" *site*" if row.site else ""),
                row.usually or (f"`{default}`" if default else "none"),
                row.unit,
                row.allowed,
                re.sub(r"\bdocs/(\w+\.md)", r"[\1](\1)", row.meaning),
            ]
            lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def env() -> str:
    """Return .env.example."""
    lines = [_ENV]
    for heading, rows in conf.sections():
        lines.append(f"# --- {heading} ".ljust(100, "-"))
        for row in rows:
            text = row.meaning
            if row.unit or row.choices:
                text += f" {', '.join(filter(None, [row.unit.capitalize(), row.allowed]))}."
            if row.usually or not row.written(row.default):
                text += f" Default: {row.usually or 'none'}."
            lines += textwrap.wrap(text, 100, initial_indent="# ", subsequent_indent="# ")
            lines.append(f"#{row.name}={row.example or row.written(row.default)}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"
