"""Show or stop the embedded PostgreSQL and Redis."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from stageapp import embedded


class Command(BaseCommand):
    """Run `services status` or `services stop`; neither starts anything."""

    help = "Show or stop the embedded PostgreSQL and Redis."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["status", "stop"])
        parser.add_argument("--json", action="store_true", help="print one JSON document")
        parser.add_argument(
            "--root", type=Path, default=embedded.DEFAULT_ROOT, help="default: %(default)s"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report, lines = getattr(self, options["action"])(options["root"])
        except (embedded.EmbeddedError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(report) if options["json"] else "\n".join(lines))

    def status(self, root: Path) -> tuple[dict[str, Any], list[str]]:
        """Return every known server's state, as data and as lines."""
        servers = embedded.status(root)
        lines = [
            f"{server.name}: {server.state}"
            f"{'' if server.pid is None else f' (pid {server.pid})'}, data in {server.data}"
            for server in servers
        ]
        return (
            {"root": str(root), "servers": [asdict(server) for server in servers]},
            lines or [f"No embedded server has been started under {root}."],
        )

    def stop(self, root: Path) -> tuple[dict[str, Any], list[str]]:
        """Stop the servers and return the names of those that ran, as data and as lines."""
        stopped = embedded.stop(root)
        return {"root": str(root), "stopped": stopped}, [
            f"{name}: stopped" for name in stopped
        ] or [f"No embedded server runs under {root}."]
