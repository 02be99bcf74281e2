"""A PostgreSQL and a Redis of a test's own, that may be stopped and killed; the session's own
stay untouched.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from stageapp import embedded
from stageapp.embedded import location
from stageapp.embedded.postgres import Postgres
from stageapp.embedded.redis import EmbeddedRedis
from stageapp.embedded.server import Server
from tests.embedded.conftest import discard
from tests.processes import process

MIGRATE = (
    "from django.core.management import call_command\ncall_command('migrate', "
    "verbosity=0)\nsay(done=True)"
)


class Servers:
    """Both servers of one root, with the product's tables."""

    def __init__(self, root: Path) -> None:
        services = embedded.provide(root, durable=False)
        self.environment = {"DATABASE_URL": services.database_url, "REDIS_URL": services.redis_url}
        found = location.find(root.resolve())
        self.postgres, self.redis = Postgres(found, durable=False), EmbeddedRedis(found)

    @property
    def client(self) -> Redis:
        return Redis.from_url(self.environment["REDIS_URL"])

    @contextmanager
    def hanging(self, *servers: Server) -> Iterator[None]:
        """Stop every process of these servers, as a hang does, for the block."""
        pids = [each.pid for server in servers for each in server._processes()]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def kill_redis(self) -> None:
        """Kill Redis as a crash would; `redis.ensure()` starts it again on its data."""
        for each in self.redis._processes():
            each.kill()
            each.wait(10)


@contextmanager
def running(root: Path) -> Iterator[Servers]:
    """Start the servers under a root, and leave nothing of them behind."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DATABASE_URL", "REDIS_URL", "STAGE_EMBEDDED"):
            patch.delenv(name, raising=False)
        servers = Servers(root)
    try:
        with process(MIGRATE, **servers.environment) as migration:
            migration.hear(60)
        yield servers
    finally:
        discard(root)
