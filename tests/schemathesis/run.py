"""Run Schemathesis with every check against a real gunicorn, in each mode: `python -m
tests.schemathesis.run`.

It starts a PostgreSQL and a Redis of its own and leaves nothing behind. Exit code 1: a check
failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.api.gunicorn import serving
from tests.processes import PROJECT, process
from tests.servers import running

TOKEN = "schemathesis-token"
PREPARE = f"""
from stageapp.models import Consumer, Fund, PortfolioCompany
digest = Consumer.digest("{TOKEN}")
Consumer.objects.create(name="schemathesis", token_sha256=digest, scopes=["read", "write", "ops"])
fund = Fund.objects.create(name="Fund")
for stage in ("seed", "Series-A", "", "??"):
    PortfolioCompany.objects.create(fund=fund, name=stage or "blank", stage=stage)
for line in sys.stdin:
    modes.change(mode=line.strip(), actor="test", reason="a test")
    say(done=True)
"""
UNTHROTTLED = {"STAGE_THROTTLE_PER_MINUTE": "0", "STAGE_THROTTLE_ANONYMOUS_PER_MINUTE": "0"}
MODES = ("off", "warn", "enforce")
MODE_PATH = "/_ops/stage-validation/mode"
# Everything together would have the token lower the mode in the middle; so the mode is asked and
# changed apart.
PARTS = {"resources": ["--exclude-path", MODE_PATH], "mode": ["--include-path", MODE_PATH]}


def schemathesis(port: int, mode: str, part: str, examples: int, seed: int) -> int:
    """Run it once; return its exit code."""
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{port}/api/schema/",
        "--checks",
        "all",
        "--header",
        f"Authorization: Token {TOKEN}",
        "--max-examples",
        str(examples),
        "--seed",
        str(seed),
        "--suppress-health-check",
        "all",
        "--request-timeout",
        "10",
        *PARTS[part],
    ]
    environment = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.schemathesis.hooks",
        "SCHEMATHESIS_MODE": mode,
        "PYTHONPATH": str(PROJECT),
    }
    with tempfile.TemporaryDirectory() as folder:  # it keeps its examples where it runs
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def everything(folder: Path, examples: int, seed: int, modes: tuple[str, ...] = MODES) -> bool:
    """Run every part in each of the modes; tell whether all checks held."""
    passed = True
    with (
        running(folder / "servers") as servers,
        process(PREPARE, **servers.environment) as preparation,
    ):
        for mode in modes:
            preparation.ask(mode)
            with serving(folder / "log", **servers.environment, **UNTHROTTLED) as port:
                for part in PARTS:
                    print(f"== mode {mode}: {part}", flush=True)
                    passed &= schemathesis(port, mode, part, examples, seed) == 0
    return passed


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--max-examples", type=int, default=50, help="cases for each operation and phase"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        sys.exit(0 if everything(Path(folder), options.max_examples, options.seed) else 1)


if __name__ == "__main__":
    main()
