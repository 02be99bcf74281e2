"""Who loads the addresses and the admin's screens: what serves or checks them, and nobody else."""

import sys

import pytest

from tests.normalization.processes import begin

WATCHED = [ADDRESSES, SCREENS] = ["config.urls", "stageapp.admin.runs"]

# Not by print: a worker takes what is printed for its log.
TELL = f"""
import atexit, os, sys
atexit.register(lambda: os.write(1, f"loaded {{' '.join(name for name in {WATCHED} if name in sys.modules)}}".encode()))
"""
COMMAND = """
import manage
sys.argv = ["manage.py", "mode", "show"]
manage.main()
"""
WORKER = """
import os, signal
from celery.signals import worker_ready
from config.celery import app
worker_ready.connect(lambda **_: os.kill(os.getpid(), signal.SIGTERM), weak=False)
app.worker_main(["worker", "--pool=solo", "--without-gossip", "--without-mingle", "--without-heartbeat"])
"""
SERVER = "from config.wsgi import application"
ASGI_SERVER = "from config.asgi import application"
CHECK_OF_A_BROKEN_SCREEN = """
import manage
from stageapp.apps import admin

def with_a_fault():
    discover()
    next(iter(admin.site._registry.values())).list_display = ("no_such_column",)

discover, admin.autodiscover = admin.autodiscover, with_a_fault
sys.argv = ["manage.py", "check", "--tag", "admin"]
manage.main()
"""


def run(code):
    """Run code in a process of its own; return its exit code, which of WATCHED it has loaded at
    its end, and stderr.
    """
    process = begin(sys.executable, "-W", "ignore", "-c", TELL + code)
    out, err = process.communicate(timeout=60)
    said = out.rpartition("loaded")
    assert said[1], err
    return process.returncode, said[2].split(), err


@pytest.mark.django_db
@pytest.mark.parametrize("code", [COMMAND, WORKER], ids=["command", "worker"])
def test_what_shows_no_screen_loads_none(code):
    returned, loaded, err = run(code)
    assert (returned, loaded) == (0, []), err


@pytest.mark.parametrize("code", [SERVER, ASGI_SERVER], ids=["WSGI", "ASGI"])
def test_a_server_has_all_loaded_before_its_first_request(code):
    returned, loaded, err = run(code)
    assert (returned, loaded) == (0, [ADDRESSES, SCREENS]), err


def test_the_check_command_looks_at_screens_that_nobody_has_loaded():
    returned, loaded, err = run(CHECK_OF_A_BROKEN_SCREEN)
    assert (returned, loaded) == (1, [SCREENS]), err
    assert "no_such_column" in err
