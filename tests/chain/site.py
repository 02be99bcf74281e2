"""The site that the chain ends in: two web processes and a Celery worker in enforce, and the relay."""

from pathlib import Path

from tests.faults.fleet import Fleet, free_port, until
from tests.processes import Process
from tests.servers import Servers

# Answers each line with the downgrades that were made since it began.
HISTORY = """
from stageapp.models import ModeChange
before = ModeChange.objects.count()
say(ready=True)
for line in sys.stdin:
    since = ModeChange.objects.order_by("epoch", "version")[before:]
    say(made=[[row.actor, row.reason] for row in since if row.kind == "downgrade"])
"""
SECRET = "w4" * 20
TOKEN = "b5" * 20
WEB_PROCESSES, WORKER_PROCESSES = 2, 1


class Site:
    """A running site; `relay` and `worker` are the places that the monitoring has to know beside the web's."""

    def __init__(self, servers: Servers, folder: Path) -> None:
        self._history = Process(HISTORY, **servers.environment | {"STAGE_REFRESHER": "0"})
        self._history.hear(30)
        self.worker_port, self.relay_port = free_port(), free_port()
        self.token_file = folder / "bearer-token"
        self.token_file.write_text(TOKEN)
        self.fleet = Fleet(
            servers, folder, ALERTMANAGER_WEBHOOK_SECRET=SECRET, ALERTMANAGER_BEARER_TOKEN=TOKEN,
            STAGE_WORKER_METRICS_PORT=str(self.worker_port),
        )  # fmt: skip
        self.fleet.set("enforce")  # before Prometheus looks for the first time
        self.web_port = self.fleet.web(WEB_PROCESSES)
        self.fleet.worker(WORKER_PROCESSES)
        webhook = f"http://127.0.0.1:{self.web_port}/_ops/stage-validation/auto-downgrade"
        self.fleet._start("manage", "relay", "--listen", f"127.0.0.1:{self.relay_port}", "--to", webhook)
        until(lambda: self.fleet._answers(self.relay_port), 30)
        self.fleet.registered(WEB_PROCESSES + WORKER_PROCESSES, 60)

    @property
    def places(self) -> dict[str, str]:
        """Return where everything is, for the shipped configuration."""
        ports = {"web": self.web_port, "worker": self.worker_port, "relay": self.relay_port}
        return {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {"bearer": str(self.token_file)}

    def modes(self) -> list[str]:
        """Return the mode that each live process of the registry has in force."""
        return [one["mode"] for one in self.fleet.seen()]

    def all_in(self, mode: str) -> bool:
        """Tell whether every process of the site is in this mode."""
        return self.modes() == [mode] * (WEB_PROCESSES + WORKER_PROCESSES)

    def enforce(self) -> None:
        """Raise the mode again, as a person does after a downgrade, and wait until every process follows."""
        self.fleet.agreed(self.fleet.set("enforce"))

    def downgrades(self) -> list[tuple[str, bool]]:
        """Return who lowered the mode since the site began, oldest first, and whether an alert of ours is named."""
        return [(actor, "StageRejects" in reason) for actor, reason in self._history.ask()["made"]]

    def end(self) -> None:
        self.fleet.end()
        self._history.popen.kill()
        self._history.popen.wait()
        for pipe in (self._history.popen.stdin, self._history.popen.stdout, self._history.popen.stderr):
            pipe.close()
