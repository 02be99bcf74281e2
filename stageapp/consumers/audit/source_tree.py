"""Walk source trees: which files are read, in which language family, and which are skipped."""

import os
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

MAX_BYTES = 1_000_000
_BINARY_PROBE = 8_192

# Folders that hold other people's code or what a tool has made; one that is named as a PATH is
# walked nevertheless.
LEFT_OUT = frozenset(
    [
        ".git",
        ".hg",
        ".svn",
        ".bzr",
        "node_modules",
        "bower_components",
        "site-packages",
        "venv",
        ".venv",
        ".tox",
        ".nox",
        "__pycache__",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".hypothesis",
        ".cache",
        ".idea",
        ".gradle",
        ".terraform",
    ]
)
_FAMILIES = {
    "python": "py pyi pyw",
    "c": (
        "js mjs cjs ts mts cts java go kt kts scala swift rs c h cc cpp hpp cs php dart "
        "groovy gradle proto graphql"
    ),
    "mixed": "jsx tsx vue svelte",
    "markup": "html htm xhtml xml xsl svg jinja j2 erb ejs hbs mustache twig",
    "hash": "rb rake sh bash zsh pl pm r ex exs jl tf hcl nix coffee feature",
    "sql": "sql ddl dml psql",
    "json": "json jsonl ndjson json5 geojson ipynb",
    "yaml": "yaml yml",
    "settings": "ini cfg conf properties env toml",
    "table": "csv tsv",
}
_BY_SUFFIX = {
    f".{suffix}": family for family, suffixes in _FAMILIES.items() for suffix in suffixes.split()
}


@dataclass
class Left:
    """What was skipped, for the report."""

    too_large: list[tuple[str, int]] = field(default_factory=list)  # path, bytes
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # path, why
    binary: int = 0
    other: int = 0  # files of no language that is read here

    def refuse(self, error: OSError) -> None:
        """Record a file or folder that cannot be read."""
        self.unreadable.append((str(error.filename), error.strerror or str(error)))


@dataclass(frozen=True)
class SourceFile:
    """One file to read."""

    path: str
    family: str
    text: str


def walk(
    paths: Collection[str], left: Left, *, max_bytes: int = MAX_BYTES, exclude: Collection[str] = ()
) -> Iterator[SourceFile]:
    """Yield the source files below the paths in a stable order; links are not followed."""
    for path in paths:
        if not Path(path).is_dir():
            yield from _read(path, left, max_bytes, named=True)
            continue
        for folder, folders, files in os.walk(path, onerror=left.refuse):
            folders[:] = sorted(
                name
                for name in folders
                if name not in LEFT_OUT
                and not Path(folder, name, "pyvenv.cfg").exists()
                and not _excluded(os.path.join(folder, name), path, exclude)
            )
            for file in (os.path.join(folder, name) for name in sorted(files)):
                if not _excluded(file, path, exclude):
                    yield from _read(file, left, max_bytes)


def _excluded(path: str, root: str, patterns: Collection[str]) -> bool:
    inner = os.path.relpath(path, root)
    return any(
        fnmatch(inner, pattern) or fnmatch(os.path.basename(path), pattern) for pattern in patterns
    )


def _read(path: str, left: Left, max_bytes: int, *, named: bool = False) -> Iterator[SourceFile]:
    family = family_of(path) or ("c" if named else "")
    if not family and Path(path).suffix:
        left.other += 1
        return
    try:
        status = os.stat(path, follow_symlinks=named)
        if not stat.S_ISREG(status.st_mode):
            left.other += 1
            return
        if status.st_size > max_bytes:
            left.too_large.append((path, status.st_size))
            return
        with open(path, "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as error:
        left.refuse(error)
        return
    first = data[:200].partition(b"\n")[0]
    if not family and first.startswith(b"#!"):
        family = "python" if b"python" in first else "c" if b"node" in first else "hash"
    if not family:
        left.other += 1
    elif data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        yield SourceFile(path, family, data.decode("utf-16", "replace"))
    elif b"\x00" in data[:_BINARY_PROBE]:
        left.binary += 1
    else:
        yield SourceFile(path, family, data.decode("utf-8-sig", "replace"))


def family_of(path: str) -> str:
    """Return the language family for a file name; empty if unknown."""
    name = os.path.basename(path).lower()
    if name in ("rakefile", "gemfile") or name.startswith(".env"):
        return "settings" if name.startswith(".env") else "hash"
    return _BY_SUFFIX.get(os.path.splitext(name)[1], "")
