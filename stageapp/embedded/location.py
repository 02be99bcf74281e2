"""The location of embedded servers: root folder, identity, lock and private folders."""

import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

LOCK_LIMIT = 150.0  # seconds; longer than two servers may take to start
# A socket's path may have 107 bytes, a clone's path may be longer: so sockets live apart from the
# root.
SOCKET_PARENT = Path("/tmp")  # noqa: S108  the folder below is checked to be ours alone


class EmbeddedError(RuntimeError):
    """Why an embedded server cannot be provided, and what to do."""


@dataclass(frozen=True)
class Location:
    """A root and its identity: `key` names folders outside of it; `password` is the database's."""

    root: Path
    key: str
    password: str

    @property
    def sockets(self) -> Path:
        """The parent folder of the servers' socket folders."""
        return SOCKET_PARENT / f"stage-{self.key}"


def find(root: Path) -> Location | None:
    """Return the location that an earlier start prepared under root, or None."""
    known = _read(root)
    return (
        None
        if known is None or (known.root != root and _read(known.root) == known)
        else Location(root, known.key, known.password)
    )


def prepare(root: Path) -> Location:
    """Return root's location, created on the first call; requires the lock."""
    known = _read(root)
    location = find(root)
    if (
        location is None
    ):  # a copied folder keeps the password of the data in it, and gets sockets of its own
        password = secrets.token_urlsafe(32) if known is None else known.password
        location = Location(root, secrets.token_hex(6), password)
    if location != known:
        write_private(root / "identity.json", json.dumps(asdict(location) | {"root": str(root)}))
    return location


def _read(root: Path) -> Location | None:
    """Return the recorded location; its root differs if the folder was moved or copied since."""
    try:
        known = json.loads((root / "identity.json").read_text())
        return Location(Path(known["root"]), known["key"], known["password"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise EmbeddedError(
            f"{root / 'identity.json'} is damaged. Restore it, or stop the servers and remove "
            f"{root}."
        ) from error


def write_private(path: Path, text: str, owner: int = -1) -> None:
    """Atomically write a file that only its owner (a uid; -1 for ourselves) may read."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchown(file.fileno(), owner, -1)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def own_folder(path: Path, mode: int = 0o700, owner: int | None = None) -> Path:
    """Create a private folder for `owner` (a uid; ourselves if None), or accept an existing one.

    Raises:
        EmbeddedError: the name is a link, a file, or a folder that someone else may write to.
    """
    with suppress(FileExistsError):
        path.mkdir(mode)
    status = path.lstat()
    ours = os.geteuid() if owner is None else owner
    if (
        not stat.S_ISDIR(status.st_mode)
        or status.st_uid not in (os.geteuid(), ours)
        or status.st_mode & 0o022
    ):
        raise EmbeddedError(
            f"{path} is not a private folder of user {ours} (owner {status.st_uid}, "
            f"{stat.filemode(status.st_mode)}). Remove it if it is left over, or work as that user."
        )
    if status.st_uid != ours:
        os.chown(path, ours, -1, follow_symlinks=False)
    path.chmod(mode)
    return path


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Hold the lock for starting or stopping root's servers; raises EmbeddedError on timeout."""
    root.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOCK_LIMIT
    with (root / "lock").open("a") as file:
        while not _try_lock(file.fileno()):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"{root / 'lock'} has been held for {LOCK_LIMIT:.0f} s. End the process that "
                    "holds it."
                )
            time.sleep(0.05)
        yield


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
