"""The shipped configuration, installed as docs/observability.md says: only places differ."""

import shutil
from pathlib import Path

from tests.processes import PROJECT

SHIPPED = PROJECT / "config" / "observability"

# What docs/observability.md tells an operator to set, and what stands there as it is shipped.
PLACES = {
    "web": "127.0.0.1:8000",
    "worker": "127.0.0.1:9808",
    "alertmanager": "127.0.0.1:9093",
    "relay": "127.0.0.1:9096",
    "bearer": "/etc/alertmanager/stage-token",
}


def install(folder: Path, **places: str) -> Path:
    """Copy the configuration, with these places in the stead of the shipped ones; return the new
    folder.
    """
    installed = folder / "observability"
    shutil.copytree(SHIPPED, installed)
    for path in installed.glob("*.yml"):
        text = path.read_text()
        for name, place in places.items():
            text = text.replace(PLACES[name], place)
        path.write_text(text)
    return installed
