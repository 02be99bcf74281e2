"""Ways in which a backup on a disk goes bad."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

DUMP, MANIFEST = "database.dump", "manifest.json"


@dataclass
class Damage:
    """Damages of one backup, with another one beside it to swap with; `chance` is a seeded
    Random.
    """

    chance: object
    backup: Path
    other: Path

    def flip(self, file: str) -> str:
        path = self.backup / file
        data = bytearray(path.read_bytes())
        place, bit = self.chance.randrange(len(data)), self.chance.randrange(8)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        return f"bit {bit} of byte {place} of {file}"

    def truncate(self, file: str) -> str:
        path = self.backup / file
        size = self.chance.randrange(path.stat().st_size)
        os.truncate(path, size)
        return f"{file} cut to {size}"

    def append(self, file: str) -> str:
        added = self.chance.choice(
            [b"\n", b" ", b"\0", self.chance.randbytes(self.chance.randint(1, 5000))]
        )
        with (self.backup / file).open("ab") as handle:
            handle.write(added)
        return f"{len(added)} bytes after {file}"

    def swap(self, file: str) -> str:
        (self.backup / file).write_bytes((self.other / file).read_bytes())
        return f"{file} of another backup"

    def replace(self, file: str) -> str:
        path = self.backup / file
        path.write_bytes(self.chance.randbytes(path.stat().st_size))
        return f"{file} replaced by as many bytes"

    def move(self, file: str) -> str:
        """Put a stretch of the file elsewhere in it; size and bytes stay the same set."""
        path = self.backup / file
        data = path.read_bytes()
        cut = self.chance.randrange(1, len(data))
        path.write_bytes(data[cut:] + data[:cut])
        return f"{file} turned at {cut}"

    def any(self) -> str:
        how = self.chance.choice(
            [self.flip, self.truncate, self.append, self.swap, self.replace, self.move]
        )
        return how(self.chance.choice([DUMP, DUMP, MANIFEST]))


def copy(source: Path, to: Path) -> None:
    """Put a backup's files back as they were."""
    for file in (DUMP, MANIFEST):
        shutil.copyfile(source / file, to / file)
