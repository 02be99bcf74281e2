"""A PostgreSQL for one task: in its own folder, stopped and removed even after a crash."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stageapp.embedded.location import EmbeddedError, find, locked, prepare
from stageapp.embedded.postgres import Postgres


@contextmanager
def throw_away(
    root: Path, version: int, *, durable: bool = False, settings: Mapping[str, str] | None = None
) -> Iterator[str]:
    """Start an empty PostgreSQL, yield its URL in django-environ's form, and remove it.

    `settings` are added to those of every embedded server; `durable` waits for the disk.

    Leftovers of a killed process in the same root are stopped and removed first. The root's lock
    is held throughout, so only one runs at a time.

    Raises:
        EmbeddedError: it does not start, or another process held the root for too long.
    """
    try:
        with locked(root):
            _remove(root)
            postgres = Postgres(prepare(root), version, durable=durable, settings=settings)
            try:
                postgres.ensure()
                yield postgres.url
            finally:
                _remove(root)
    except OSError as error:
        raise EmbeddedError(
            f"A throwaway PostgreSQL cannot be started under {root}: {error}."
        ) from error


def _remove(root: Path) -> None:
    location = find(root)
    if location is None:
        return
    for version in (16, 18):
        postgres = Postgres(location, version)
        if postgres.data.exists():
            postgres.end()
            shutil.rmtree(postgres.data)
        if postgres.account is not None:  # then its home is a folder outside of the root
            shutil.rmtree(postgres.home, ignore_errors=True)
    shutil.rmtree(location.sockets, ignore_errors=True)
    for entry in root.iterdir():
        if entry.name != "lock":  # others wait for it
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
