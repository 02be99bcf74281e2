"""The lock of a service's counts, with what happens to it when its master forks a child
meanwhile.
"""

import os
import threading

import pytest

from stageapp.infrastructure import multiprocess


@pytest.mark.parametrize("holding", [multiprocess.reading, multiprocess.moving])
def test_a_child_forked_while_the_lock_is_held_does_not_keep_it(tmp_path, holding):
    ends, held = os.pipe(), threading.Event()
    with holding(tmp_path):
        child = os.fork()
        if not child:
            os.close(ends[1])
            os.read(ends[0], 1)  # until the test is over
            os._exit(0)

    def take():
        with multiprocess.moving(tmp_path):
            held.set()

    threading.Thread(target=take, daemon=True).start()
    try:
        assert held.wait(10), "a child that never heard of the lock holds it"
    finally:
        os.close(ends[1])
        os.close(ends[0])
        os.waitpid(child, 0)


def test_nothing_is_moved_while_a_reader_reads(tmp_path):
    moved = threading.Event()

    def move():
        with multiprocess.moving(tmp_path):
            moved.set()

    with multiprocess.reading(tmp_path), multiprocess.reading(tmp_path):
        threading.Thread(target=move, daemon=True).start()
        assert not moved.wait(0.2)
    assert moved.wait(10)
