"""The composition of containers names programs, settings, secrets and files that exist. It is
not run here.
"""

import re

import pytest
import yaml

from stageapp import conf
from tests.processes import PROJECT
from tests.test_documentation import parse

DEPLOY = PROJECT / "config" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = {
    name: each
    for name, each in COMPOSE["services"].items()
    if each["image"] == "stage-normalization"
}
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_it_holds_every_kind_of_process():
    assert OURS.keys() == {"migrate", "web", "worker", "beat", "relay"}
    assert COMPOSE["services"].keys() - OURS.keys() == {
        "postgres",
        "redis",
        "prometheus",
        "alertmanager",
    }


@pytest.mark.parametrize("name", ["migrate", "relay"])
def test_a_command_of_ours_is_one_that_the_program_takes(name):
    program, script, *arguments = OURS[name]["command"]
    assert (program, script) == ("python", "manage.py")
    parse(" ".join(arguments))


def test_every_setting_is_a_documented_one():
    names = {name.removesuffix("_FILE") for each in OURS.values() for name in each["environment"]}
    assert names - {row.name for row in conf.ROWS} == set()


def test_every_secret_is_declared_and_read():
    used = {secret for each in COMPOSE["services"].values() for secret in each.get("secrets", [])}
    read = set(re.findall(r"/run/secrets/(\w+)", str(COMPOSE["services"])))
    assert used == read == COMPOSE["secrets"].keys()


def test_what_is_mounted_and_copied_exists():
    mounted = [
        volume.split(":")[0]
        for each in COMPOSE["services"].values()
        for volume in each.get("volumes", [])
    ]
    missing = [path for path in mounted if path.startswith(".") and not (DEPLOY / path).exists()]
    assert missing == []
    assert {path for path in mounted if not path.startswith(".")} == COMPOSE["volumes"].keys()
    copied = [
        name
        for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.MULTILINE)
        for name in line.split()
    ]
    assert [name for name in copied if not (PROJECT / name).exists()] == []
    let_in = re.findall(r"^!(\S+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    assert sorted(let_in) == sorted(copied)


def test_only_this_machine_reaches_what_it_publishes_and_the_relay_stays_on_loopback():
    ports = [port for each in COMPOSE["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)
    for name in ("worker", "relay", "prometheus", "alertmanager"):
        assert COMPOSE["services"][name]["network_mode"] == "service:web"
    assert "127.0.0.1:9096" in OURS["relay"]["command"]


def test_nobody_works_as_root_and_nothing_is_killed_before_it_has_finished():
    assert re.search(r"^USER stage$", DOCKERFILE, re.MULTILINE)
    assert int(OURS["web"]["stop_grace_period"].rstrip("s")) > 20
    assert int(OURS["worker"]["stop_grace_period"].rstrip("s")) > 20
