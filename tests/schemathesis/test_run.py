"""A short run of Schemathesis; `python -m tests.schemathesis.run --max-examples 200` is the long
one, in every mode.
"""

import pytest

from tests.schemathesis.hooks import summed
from tests.schemathesis.run import everything


@pytest.mark.parametrize(
    "modes", [("enforce",), pytest.param(("off", "warn"), marks=pytest.mark.full)]
)
def test_no_check_fails(tmp_path_factory, monkeypatch, modes):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "config.settings")
    assert everything(tmp_path_factory.mktemp("s"), examples=3, seed=1, modes=modes)


@pytest.mark.parametrize(
    "sent", [{"a": 0, "b": 0}, {"a": 3, "b": 1}, [{"stage": "a", "weight": 7}]]
)
def test_the_hook_mends_weights_and_nothing_else(sent):
    found = summed(sent)
    weights = found.values() if isinstance(found, dict) else [entry["weight"] for entry in found]
    assert sum(weights) == pytest.approx(1)
    assert (
        [*found] == [*sent]
        if isinstance(sent, dict)
        else [e["stage"] for e in found] == [e["stage"] for e in sent]
    )
