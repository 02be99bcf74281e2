"""Reads of known values by the client that processes use, beside whatever goes wrong: is a reply
ever another's?
"""

import threading
import time
from typing import Any

from redis import RedisError

from stageapp.infrastructure.redis import strict
from tests.servers import Servers

KEYS = {f"fault:{number}": f"value of {number} ".encode() * 3 for number in range(20)}


class Reads:
    """Counts what came back: the key's own value, an error, or something else; `slowest` is in
    seconds.
    """

    def __init__(self, servers: Servers) -> None:
        for key, value in KEYS.items():
            servers.client.set(key, value)
        self.wrong = self.errors = self.good = 0
        self.slowest = 0.0
        self._client, self._over = strict(), threading.Event()
        self._thread = threading.Thread(target=self._go_on)

    def once(self) -> None:
        """Read each key once."""
        for key, value in KEYS.items():
            self._read(key, value)

    def __enter__(self) -> "Reads":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._over.set()
        self._thread.join()
        self.close()

    def close(self) -> None:
        self._client.connection_pool.disconnect()

    def _go_on(self) -> None:
        while not self._over.wait(0.5):
            self.once()

    def _read(self, key: str, value: bytes) -> None:
        began = time.monotonic()
        try:
            read = self._client.get(key)
        except RedisError:
            self.errors += 1
        else:
            self.wrong += read != value
            self.good += read == value
        self.slowest = max(self.slowest, time.monotonic() - began)

    def __str__(self) -> str:
        return (
            f"{self.wrong} wrong, {self.errors} errors, {self.good} good, slowest "
            f"{self.slowest * 1000:.0f} ms"
        )
