"""Give a test session its servers before pytest-django loads the settings, and stop them after the
last one.

STAGE_TEST_SUFFIX (letters and digits) gives a session its own test database and Redis number, so
that several sessions may run at once.
"""

import fcntl
import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import IO

import pytest

from stageapp import embedded

ROOT = Path(__file__).resolve().parents[1] / ".local" / "test"
IN_USE = pytest.StashKey[IO[str]]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Start the servers; a wrapper runs before pytest-django's own hook, which loads the
    settings.
    """
    options = early_config.known_args_namespace
    if not (options.help or options.version):
        try:
            _provide(early_config)
        except embedded.EmbeddedError as error:
            raise pytest.UsageError(str(error)) from error
    return (yield)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers if no other session uses them."""
    in_use = config.stash.get(IN_USE, None)
    if in_use is None:
        return
    with in_use:
        try:
            fcntl.flock(in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        embedded.stop(ROOT)


def _provide(config: pytest.Config) -> None:
    suffix = os.environ.get("STAGE_TEST_SUFFIX", "")
    if not re.fullmatch(r"[A-Za-z0-9]{0,20}", suffix):
        raise pytest.UsageError(
            f"STAGE_TEST_SUFFIX is {suffix!r}: use at most 20 letters and digits."
        )
    ROOT.mkdir(parents=True, exist_ok=True)
    in_use = (ROOT / "sessions").open("a")
    fcntl.flock(in_use, fcntl.LOCK_SH)  # waits for a session that is stopping the servers
    services = embedded.provide(ROOT, durable=False)
    if services is None:
        in_use.close()
    else:
        config.stash[IN_USE] = in_use
    worker = os.environ.get(
        "PYTEST_XDIST_WORKER", ""
    )  # pytest-django names each worker's database by itself
    if os.environ.get("REDIS_URL", "").startswith("unix:"):
        os.environ["REDIS_URL"] = _with_number(
            os.environ["REDIS_URL"], redis_number(suffix + worker)
        )
    if suffix:
        os.environ["STAGE_TEST_DATABASE_NAME"] = f"test_stage_{suffix.lower()}"


def redis_number(suffix: str) -> int:
    """Return 1 without a suffix, else one of 2 to 63; single letters and digits, and workers,
    never share one.
    """
    return 2 + int(suffix, 36) % 62 if suffix else 1


def _with_number(url: str, number: int) -> str:
    # Not by urlunsplit: it writes unix:/path, which redis-py refuses.
    return f"{url.partition('?')[0]}?db={number}"
