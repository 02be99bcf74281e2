"""The programs of Prometheus and Alertmanager that the tests of their configuration run."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.processes import PROJECT

SHIPPED = PROJECT / "config" / "observability"
RULES = sorted((SHIPPED / "rules").glob("*.yml"))
CASES = sorted((Path(__file__).parent / "cases").glob("*.yml"))


def need(*programs: str) -> None:
    """Skip where a program is missing; the project's whole check counts such a skip as a
    failure.
    """
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(
                f"needs {program} (Debian: apt-get install prometheus prometheus-alertmanager)"
            )


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; skip where it is missing."""
    need(program)
    return subprocess.run(
        [program, *map(str, arguments)],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
