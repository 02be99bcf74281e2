"""Debian's Prometheus and Alertmanager as processes of a test, with the shipped configuration."""

import datetime
import json
import subprocess
import urllib.parse
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chain.configuration import install
from tests.faults.fleet import free_port, until

PROGRAMS = ("prometheus", "prometheus-alertmanager")


class Monitoring:
    """One Prometheus and one Alertmanager; `alertmanager_file` is which of the shipped
    configurations it has.
    """

    def __init__(self, folder: Path, alertmanager_file: str, **places: str) -> None:
        self._folder, self._programs = folder, []
        self.port, self._alertmanager = free_port(), free_port()
        installed = install(folder, alertmanager=f"127.0.0.1:{self._alertmanager}", **places)
        self._start(
            "prometheus-alertmanager",
            self._alertmanager,
            f"--config.file={installed / alertmanager_file}",
            f"--storage.path={folder / 'alertmanager'}",
            "--cluster.listen-address=",
        )
        self._start(
            "prometheus",
            self.port,
            f"--config.file={installed / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
        )

    def _start(self, name: str, port: int, *options: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._programs.append(
                subprocess.Popen(
                    [name, f"--web.listen-address=127.0.0.1:{port}", *options],
                    cwd=self._folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            )
        until(lambda: self._ready(port), 30, self.log)

    def _ready(self, port: int) -> bool:
        assert all(program.poll() is None for program in self._programs), self.log()
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer,
        ):
            return answer.status == 200
        return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return what Prometheus answers to an instant query."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=5
        ) as answer:
            return json.load(answer)["data"]["result"]

    def targets(self) -> dict[str, str]:
        """Return the health of each scrape, by job."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.port}/api/v1/targets", timeout=5
        ) as answer:
            return {
                each["scrapePool"]: each["health"]
                for each in json.load(answer)["data"]["activeTargets"]
            }

    def first_firing(self, since: float) -> tuple[float, str] | None:
        """Return when an alert that lowers the mode was first firing, by Prometheus's clock, and
        its name.
        """
        found = [
            (float(at), series["metric"]["alertname"])
            for series in self.query('ALERTS{alertstate="firing", action="downgrade"}[10m]')
            for at, _ in series["values"]
            if at >= since
        ]
        return min(found, default=None)

    def alert(self, *, ended: bool = False, **labels: str) -> None:
        """Tell Alertmanager of an alert, or of its end, as Prometheus would."""
        now = datetime.datetime.now(datetime.UTC).isoformat()
        said = [{"labels": labels} | ({"endsAt": now} if ended else {})]
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._alertmanager}/api/v2/alerts",
            json.dumps(said).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 200

    def log(self) -> str:
        """Return what both have written."""
        return "".join(
            path.read_text(errors="replace")
            for path in sorted(self._folder.glob("prometheus*.log"))
        )

    def end(self) -> None:
        for program in reversed(self._programs):
            program.terminate()
        for program in self._programs:
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
