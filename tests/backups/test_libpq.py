"""A session of our own that is interrupted while it begins."""

import contextlib
import signal
import socket

import pytest

from stageapp.backups import postgres


@contextlib.contextmanager
def interrupted_after(seconds):
    """Raise KeyboardInterrupt in the block, as Ctrl-C does."""

    def interrupt(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_an_interrupt_while_it_begins_leaves_no_half_open_session():
    """PostgreSQL waits for such a session before it drops any database."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = {
            "hostaddr": "127.0.0.1",
            "port": str(silent.getsockname()[1]),
            "dbname": "any",
            "user": "any",
        }
        with pytest.raises(KeyboardInterrupt) as kept, interrupted_after(0.3):
            postgres.connect(server)
        accepted, _ = silent.accept()
        with accepted:
            accepted.settimeout(10)
            while accepted.recv(1024):
                pass  # what it sent before; the end of it is the end of the session
        assert kept.value.__context__ is None
