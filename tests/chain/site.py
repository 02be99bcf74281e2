"""The site that the chain ends in: two web processes and a Celery worker in enforce, and the
relay.
"""

import datetime
import re
from pathlib import Path

import environ
import psycopg

from tests.faults.fleet import Fleet, free_port, until
from tests.servers import Servers

DOWNGRADES = """
    SELECT actor, reason FROM stageapp_modechange WHERE kind = 'downgrade' AND created_at >= %s ORDER BY epoch, version
"""
SECRET = "w4" * 20
TOKEN = "b5" * 20
WEB_PROCESSES, WORKER_PROCESSES = 2, 1


class Site:
    """A running site; `relay` and `worker` are the places that the monitoring has to know beside
    the web's.
    """

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._began = datetime.datetime.now(datetime.UTC)
        self.worker_port, self.relay_port = free_port(), free_port()
        self.token_file = folder / "bearer-token"
        self.token_file.write_text(TOKEN)
        self.fleet = Fleet(
            servers,
            folder,
            ALERTMANAGER_WEBHOOK_SECRET=SECRET,
            ALERTMANAGER_BEARER_TOKEN=TOKEN,
            STAGE_WORKER_METRICS_PORT=str(self.worker_port),
            TMPDIR=str(folder),
        )
        self.fleet.worker(WORKER_PROCESSES)
        self.web_port = free_port()
        webhook = f"http://127.0.0.1:{self.web_port}/_ops/stage-validation/auto-downgrade"
        self.fleet._start(
            "manage", "relay", "--listen", f"127.0.0.1:{self.relay_port}", "--to", webhook
        )
        self.fleet.web(WEB_PROCESSES, port=self.web_port)

    def await_ready(self) -> None:
        """Wait until every process answers, or is in the registry."""
        until(lambda: self.fleet._answers(self.relay_port), 30, self.fleet.log)
        self.fleet.registered(WEB_PROCESSES + WORKER_PROCESSES, 60)

    @property
    def places(self) -> dict[str, str]:
        """Return where everything is, for the shipped configuration."""
        ports = {"web": self.web_port, "worker": self.worker_port, "relay": self.relay_port}
        return {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {
            "bearer": str(self.token_file)
        }

    def modes(self) -> list[str]:
        """Return the mode that each live process of the registry has in force."""
        return [one["mode"] for one in self.fleet.seen()]

    def all_in(self, mode: str) -> bool:
        """Tell whether every process of the site is in this mode."""
        return self.modes() == [mode] * (WEB_PROCESSES + WORKER_PROCESSES)

    def enforce(self) -> None:
        """Raise the mode, as a person does, also after a downgrade, and wait until every process
        follows.
        """
        self.fleet.agreed(self.fleet.set("enforce"))

    def downgrades(self) -> list[tuple[str, str]]:
        """Return who lowered the mode since the site began, and for which alerts, oldest first."""
        at = environ.Env.db_url_config(self.fleet.servers.environment["DATABASE_URL"])
        place = {"host": at["HOST"], "port": at["PORT"], "dbname": at["NAME"]}
        with psycopg.connect(**place, user=at["USER"], password=at["PASSWORD"]) as connection:
            made = connection.execute(DOWNGRADES, [self._began]).fetchall()
        return [(actor, ", ".join(re.findall(r"Stage\w+", reason))) for actor, reason in made]

    def end(self) -> None:
        self.fleet.end()
