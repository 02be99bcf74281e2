"""The backup folder: each backup is a subfolder that gets its name only once it is complete.

Names are single words; every file is opened once, relative to an open folder and without following
links, and then used by its handle. So no name leads outside, and what was verified is what is
restored.
"""

import fcntl
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from stageapp import conf
from stageapp.backups.errors import BackupBusy, BackupError, NoSuchBackup

DUMP, MANIFEST = "database.dump", "manifest.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_OWN_NAME = re.compile(r"stage-[0-9]{8}T[0-9]{6}(\.[0-9]{6})?Z-[0-9a-f]{6}")
_UNFINISHED, _REMOVED = ".unfinished-", ".removed-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = (
    os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
)  # a pipe in its place would keep us waiting


def path() -> Path:
    """Return the folder of all backups, created on the first call.

    Raises:
        BackupError: it cannot be created, or is world-writable.
    """
    chosen = Path(conf.settings.backup_dir)
    if not conf.settings.backup_dir:
        raise BackupError(
            "Set STAGE_BACKUP_DIR to the backup folder, on a different disk from the database."
        )
    try:
        chosen.mkdir(mode=0o700, parents=True, exist_ok=True)
        if chosen.stat().st_mode & stat.S_IWOTH:
            raise BackupError(
                f"Everybody may write to {chosen}: run chmod o-w on it, and check what it contains."
            )
    except OSError as error:
        raise BackupError(
            f"{chosen} cannot be used for backups: {error.strerror}. Set STAGE_BACKUP_DIR."
        ) from None
    return chosen


def names() -> list[str]:
    """Return the backups in the folder (.sql files with a .sha256 included), newest name first."""
    with os.scandir(path()) as entries:
        listed = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    plain = [name for name in listed if name.endswith(".sql") and f"{name}.sha256" in listed]
    ours = [
        name
        for name, is_folder in listed.items()
        if is_folder
        and _NAME.fullmatch(name)
        and any(os.path.lexists(path() / name / file) for file in (DUMP, MANIFEST))
    ]
    return sorted([*ours, *plain], reverse=True)


def own_names() -> list[str]:
    """Return the backups with names in our format, newest first; anything else is not ours."""
    return [name for name in names() if _OWN_NAME.fullmatch(name)]


def new_name(prefix: str) -> str:
    """Return an unused backup name."""
    return f"{prefix}-{secrets.token_hex(3)}"


@contextmanager
def locked() -> Iterator[None]:
    """Hold the lock for creating and removing backups, and remove leftovers of killed processes.

    Raises:
        BackupBusy: another process holds it.
    """
    root = path()
    with _owner_named(root), (root / ".lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupBusy(
                "Another process is making or removing backups here. Wait until it has finished."
            ) from None
        for leftover in root.iterdir():
            if (
                leftover.name.startswith((_UNFINISHED, _REMOVED))
                and leftover.is_dir()
                and not leftover.is_symlink()
            ):
                shutil.rmtree(leftover)
        yield


@contextmanager
def _owner_named(root: Path) -> Iterator[None]:
    """Say what to do where another user has made backups here: nobody finds that in an errno."""
    try:
        yield
    except PermissionError as error:
        raise BackupError(
            f"{error.filename or root} is not writable: {error.strerror}. Make backups as "
            f"one user, and let that user own {root} and everything in it."
        ) from None


@contextmanager
def unfinished(name: str) -> Iterator[Path]:
    """Create a folder under a temporary name and rename it after the block; requires the lock.

    The backup exists from the rename on: its files and folders are on disk by then.
    """
    root = path()
    folder = root / f"{_UNFINISHED}{name}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
        sync(folder)
        folder.rename(root / name)
        sync(root)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def remove(name: str) -> None:
    """Remove a backup; requires the lock. If killed midway, the backup is gone all the same.

    Raises:
        NoSuchBackup: there is no backup of this name.
    """
    _check(name)
    gone = path() / f"{_REMOVED}{name}"
    try:
        (path() / name).rename(gone)
    except FileNotFoundError:
        raise NoSuchBackup(_missing(name)) from None
    sync(path())
    shutil.rmtree(gone)


@contextmanager
def opened(name: str, *files: str) -> Iterator[list[BinaryIO]]:
    """Open files of a backup for reading; without `files`, the plain .sql file and its .sha256.

    Raises:
        NoSuchBackup: there is no backup of this name, or the name is not a single word.
        BackupError: a file is missing, not a regular file, a link, or not readable.
    """
    _check(name)
    with _folder_handle(path()) as root:
        if files:
            with _folder_handle(name, root) as folder, _all_opened(folder, files) as handles:
                yield handles
        else:
            with _all_opened(root, (name, f"{name}.sha256")) as handles:
                yield handles


def holds(name: str, size: int) -> bool:
    """Whether the backup has a dump of this size; a cheap check, not a verification."""
    with suppress(BackupError), opened(name, DUMP) as (file,):
        return os.fstat(file.fileno()).st_size == size
    return False


def write_whole(target: Path, data: bytes) -> None:
    """Write a file readable by its owner only, and sync it to disk."""
    with create(target) as file:
        file.write(data)
        flush(file)


def create(target: Path) -> IO[bytes]:
    """Create a new file, unbuffered and readable by its owner only."""
    return os.fdopen(
        os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600),
        "wb",
        buffering=0,
    )


def flush(file: IO[bytes]) -> None:
    """Flush a file and sync it to disk."""
    os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Sync a folder's entries to disk."""
    with _folder_handle(folder) as handle:
        os.fsync(handle)


def _check(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise NoSuchBackup(
            f"{name!r} is not a backup name: give one word, as `backup list` shows it, not a path."
        )


def _missing(name: str) -> str:
    return f"There is no backup {name!r} in {path()}. `manage.py backup list` lists them."


@contextmanager
def _folder_handle(name: str | Path, parent: int | None = None) -> Iterator[int]:
    try:
        handle = os.open(
            name, _FOLDER if parent is not None else _FOLDER & ~os.O_NOFOLLOW, dir_fd=parent
        )
    except OSError as error:
        if parent is None:
            raise
        raise NoSuchBackup(f"{_missing(str(name))} ({error.strerror})") from None
    try:
        yield handle
    finally:
        os.close(handle)


@contextmanager
def _all_opened(folder: int, files: tuple[str, ...]) -> Iterator[list[BinaryIO]]:
    handles: list[BinaryIO] = []
    try:
        for name in files:
            try:
                file = os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0)
            except OSError as error:
                raise BackupError(f"{name} cannot be read: {error.strerror}.") from None
            mode = os.fstat(file.fileno()).st_mode
            if not stat.S_ISREG(mode) or not mode & stat.S_IRUSR:
                file.close()
                raise BackupError(f"{name} is not a readable file ({stat.filemode(mode)}).")
            handles.append(file)
        yield handles
    finally:
        for handle in handles:
            handle.close()
