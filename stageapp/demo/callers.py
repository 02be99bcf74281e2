"""An API consumer for the walk: real requests, with stages as callers write them."""

import http.client
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from stageapp.demo.site import HOST

# What the validator has to say of each: the shadow verdict, the same in every mode.
STAGES = {
    "canonical": ("seed", "series_a"),
    "normalized": ("Seed Round", "Series-A "),
    "unknown": ("Series A", "Venture Debt"),
}
REASON = "not_a_stage"  # why Venture Debt is unknown
_TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Answer:
    endpoint: str
    verdict: str
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def accepted(self) -> bool:
        """Whether it is a 2xx."""
        return 200 <= self.status < 300

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document (RFC 9457) with status 400."""
        content = self.headers.get("content-type", "")
        return self.status == http.client.BAD_REQUEST and content == "application/problem+json"

    @property
    def is_silent(self) -> bool:
        """Whether it does not mention validation."""
        named = any(name.startswith(("x-stage", "stage-")) for name in self.headers)
        return not named and "stage_validation" not in self.body

    @property
    def warns(self) -> bool:
        """Whether its `stage_validation` block has mode `warn` and the expected verdict."""
        block = self.body.get("stage_validation", {})
        return bool(block.get("mode") == "warn" and block.get("verdict") == self.verdict)

    @property
    def names_reason(self) -> bool:
        """Whether it reports the unknown stage, and only that, with REASON."""
        unknown = self.body.get("stage_validation", {}).get("unknown", [])
        return [(u["value"], u["reason"]) for u in unknown] == [(STAGES["unknown"][1], REASON)]


@dataclass(frozen=True)
class Caller:
    """A consumer with its token."""

    port: int
    token: str

    def round(self, fund: int) -> list[Answer]:
        """Send every kind of stage to every endpoint, and a malformed body to each with a body."""
        answers = []
        for verdict, stages in STAGES.items():
            first, second = stages
            half = {first: 0.5, second: 0.5}
            answers += [
                self.post(
                    "monte-carlo/simulate", verdict, {"runs": 200, "stage_distribution": half}
                ),
                self.post(
                    "portfolio/strategies", verdict, {"name": "Demo", "stage_allocation": half}
                ),
                self.post("allocations", verdict, {"stage_distribution": half}),
                self.companies(fund, second, verdict),
            ]
        for path in ("monte-carlo/simulate", "allocations"):
            answers.append(self.post(path, "malformed", {"stage_distribution": {"seed": 0.2}}))
        return answers

    def post(self, path: str, verdict: str, body: dict[str, Any]) -> Answer:
        return self._ask("POST", path, verdict, json.dumps(body).encode())

    def companies(self, fund: int, stage: str, verdict: str) -> Answer:
        """Request a fund's companies of a stage."""
        return self._ask("GET", f"funds/{fund}/companies?stage={quote(stage)}", verdict)

    def _ask(self, method: str, path: str, verdict: str, body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=_TIMEOUT)
        headers = {"Authorization": f"Token {self.token}", "Content-Type": "application/json"}
        document: object = None
        try:
            connection.request(method, f"/api/{path}", body, headers)
            answer = connection.getresponse()
            fields = {name.lower(): value for name, value in answer.getheaders()}
            with suppress(ValueError):
                document = json.loads(answer.read())
            if not isinstance(document, dict):
                document = {}
            return Answer(path, verdict, answer.status, fields, document)
        finally:
            connection.close()
