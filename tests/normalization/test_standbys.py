"""The lag of a standby, from positions and times."""

from stageapp.normalization.health import Replay, Standby, WalMarks, lag
from tests.normalization.evidence import database_url
from tests.normalization.processes import wait_for


def marks(*pairs):
    found = WalMarks()
    for at, position in pairs:
        found.note(at, position)
    return found


def test_who_has_not_reached_an_old_position_is_behind_since_then():
    seen = marks((100, 1000), (101, 2000), (102, 3000))
    assert seen.behind(3000, 110) == 0
    assert seen.behind(2999, 110) == 8
    assert seen.behind(1500, 110) == 9
    assert seen.behind(500, 110) == 10


def test_an_idle_primary_makes_nobody_late():
    seen = marks((100, 1000), (200, 1000), (300, 1000))
    assert seen.behind(1000, 300) == 0
    assert seen.behind(999, 300) == 200


def test_positions_of_before_a_failover_are_forgotten():
    seen = marks((100, 9000), (101, 500))
    assert seen.marks == [(101, 500)]


def test_many_marks_are_thinned_and_never_say_more_than_is_true():
    seen = marks(*[(at, at * 10) for at in range(1, 5000)])
    assert len(seen.marks) <= 64
    for behind_since in (10, 400, 4000, 4990):
        assert 0 <= seen.behind(behind_since * 10, 4999) <= 4999 - behind_since


def test_the_furthest_behind_counts_and_is_named():
    seen = marks((100, 1000), (105, 2000))
    found = lag([Replay("one", 2000), Replay("two", 1000)], seen, 110)
    assert (found.value, found.note, found.partial) == (5, "two", False)


def test_its_own_word_counts_where_it_is_worse_and_not_where_it_has_caught_up():
    seen = marks((100, 1000))
    assert lag([Replay("one", 900, lag=30.0)], seen, 100).value == 30
    assert lag([Replay("one", 1000, lag=30.0)], seen, 100).value == 0


def test_one_that_is_not_measured_is_told_beside_those_that_are():
    found = lag(
        [Replay("one", 1000), Replay("two", None, problem="it does not answer")],
        marks((100, 1000)),
        110,
    )
    assert (found.value, found.partial) == (0, True)
    assert "two: it does not answer" in found.note


def test_without_any_there_is_nothing_to_measure():
    assert lag([], marks((100, 1)), 100).absent
    assert lag([Replay("one", None, problem="hidden")], marks(), 100).value is None


def test_a_url_that_leads_nowhere_is_not_measured_and_tells_no_password():
    standby = Standby("postgres://stage:hunter2@127.0.0.1:1/stage")
    try:
        wait_for(lambda: "does not answer" in standby.replay().problem, 10)
        assert standby.replay().position is None
        assert "hunter2" not in str(standby.replay())
    finally:
        standby.close()


def test_the_primary_is_no_standby(transactional_db):
    standby = Standby(database_url())
    try:
        wait_for(lambda: standby.replay().problem == "it is not a standby", 10)
    finally:
        standby.close()
        standby._thread.join(5)


def test_a_url_that_cannot_be_read_fails_no_run():
    assert "cannot be read" in Standby("postgres://host:port/stage").replay().problem
