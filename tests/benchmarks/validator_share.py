"""Measure the validator's share of a request: `python -m tests.benchmarks.validator_share`.

One gunicorn, one process, one connection; requests with and without the decision take turns, so
that whatever else the machine does falls on both alike. It prints one line of JSON for each case;
it starts servers of its own.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.api.gunicorn import serving
from tests.processes import process
from tests.servers import running

TOKEN = "benchmark-token"
PREPARE = f"""
from stageapp.models import Consumer
Consumer.objects.create(name="benchmark", token_sha256=Consumer.digest("{TOKEN}"), scopes=["read", "write"])
for line in sys.stdin:
    modes.change(mode=line.strip(), actor="test", reason="a benchmark")
    say(done=True)
"""
CANONICAL = [
    "pre_seed",
    "seed",
    "series_a",
    "series_b",
    "series_c",
    "series_d",
    "series_e_plus",
    "growth",
]
RAW = ["Pre Seed", "SEED", "Series-A ", "series b", "Séries C", "Serie D", "growth"]
UNTHROTTLED = {"STAGE_THROTTLE_PER_MINUTE": "0"}


def distribution(spellings: list[str], entries: int) -> dict[str, Any]:
    """Return a body with so many entries."""
    stages = [spellings[n % len(spellings)] for n in range(entries)]
    return {"stage_distribution": [{"stage": stage, "weight": 1 / entries} for stage in stages]}


CASES = {
    "allocations, 2 canonical": ("/api/allocations", distribution(CANONICAL, 2)),
    "allocations, 2 raw spellings": ("/api/allocations", distribution(RAW, 2)),
    "allocations, 50 raw spellings": ("/api/allocations", distribution(RAW, 50)),
    "simulation of 1,000 runs, 2 raw spellings": (
        "/api/monte-carlo/simulate",
        {"runs": 1000, **distribution(RAW, 2)},
    ),
}


def seconds(caller: http.client.HTTPConnection, path: str, body: bytes, without: bool) -> float:
    """Send one request and return how long its answer took."""
    headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
    headers["X-Without-Validation"] = "1" if without else "0"
    began = time.perf_counter()
    caller.request("POST", path, body, headers)
    response = caller.getresponse()
    response.read()
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status}")
    return time.perf_counter() - began


def measure(port: int, path: str, body: dict[str, Any], requests: int) -> dict[str, float]:
    """Send so many requests of each kind, in random order; return medians in ms and their ratio."""
    encoded = json.dumps(body).encode()
    kinds = [False, True] * requests
    random.Random(1).shuffle(kinds)
    took: dict[bool, list[float]] = {False: [], True: []}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as caller:
        for kind in [False, True] * 50:
            seconds(caller, path, encoded, kind)
        for kind in kinds:
            took[kind].append(seconds(caller, path, encoded, kind))
    with_it, without = (statistics.median(took[kind]) * 1000 for kind in (False, True))
    return {
        "with_ms": round(with_it, 3),
        "without_ms": round(without, 3),
        "ratio": round(with_it / without, 4),
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="of each kind, for each case")
    parser.add_argument("--mode", default="enforce", choices=["off", "warn", "enforce"])
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        running(Path(folder) / "servers") as servers,
    ):
        with process(PREPARE, **servers.environment) as preparation:
            preparation.ask(options.mode)
        application = "tests.benchmarks.switchable:application"
        with serving(
            Path(folder) / "log", application=application, **servers.environment, **UNTHROTTLED
        ) as port:
            for name, (path, body) in CASES.items():
                print(
                    json.dumps({"case": name, **measure(port, path, body, options.requests)}),
                    flush=True,
                )


if __name__ == "__main__":
    main()
