"""The walk's report: named checks, each with its expected and actual result."""

import time
from collections.abc import Callable
from typing import Any

Write = Callable[[str], Any]


class StepFailed(Exception):
    """A check of the step failed; later steps would mean nothing."""


class Report:
    """Prints each check as it is made, and counts them."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._began = time.monotonic()
        self._steps = 0
        self.held = 0
        self.failed = 0

    def step(self, title: str) -> None:
        """Begin a step; the previous one must have passed.

        Raises:
            StepFailed: it has not.
        """
        if self.failed:
            raise StepFailed
        self._steps += 1
        self._write(f"\n{self._steps}. {title}")

    def note(self, text: str) -> None:
        self._write(f"           {text}")

    def check(self, name: str, *, expected: Any, measured: Any) -> None:
        """Print and count a check, which passes if the result is as expected."""
        if expected == measured:
            self.held += 1
            self._write(f"   ok      {name}: {_shown(measured)}")
        else:
            self.failed += 1
            self._write(f"   FAILED  {name}: expected {_shown(expected)}, found {_shown(measured)}")

    def verdict(self) -> bool:
        """Print and return the verdict."""
        took = f"{time.monotonic() - self._began:.0f} s"
        if self.failed or not self.held:
            self._write(
                f"\nNOT PASSED: {self.failed} checks failed, {self.held} passed, in {took}."
            )
            return False
        self._write(f"\nPASSED: all {self.held} checks in {self._steps} steps passed, in {took}.")
        return True


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(part)}" for name, part in value.items()) or "none"
    return str(value)
