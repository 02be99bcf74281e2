"""The mode page's table of processes."""

import datetime

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from stageapp.mode import store
from stageapp.models import ServerProcess

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:stageapp_modechange_changelist")


def beaten(pid, version, silent_for=0, mode="warn", host="web-1"):
    ServerProcess.objects.create(
        id=f"00000000-0000-4000-8000-{pid:012}",
        name="web",
        host=host,
        pid=pid,
        started_at=Now(),
        mode=mode,
        percent=10 if mode == "enforce" else 100,
        epoch=1,
        version=version,
        source="postgres",
        age=1.0,
        heartbeat_at=Now() - datetime.timedelta(seconds=silent_for),
    )


@pytest.fixture
def rows(browser_with):
    """Return a function that gives {pid: its row of the table} as HTML."""

    def find():
        page = browser_with("view_modechange").get(PAGE).text
        table = (
            page.partition('id="mode-processes"')[2].partition("</section>")[0].split("<tr ")[1:]
        )
        return {int(row.partition("</span>")[0].rpartition(":")[2]): row for row in table}

    return find


def test_without_any_process_it_says_so(browser_with):
    assert (
        "No web process, worker or beat has reported yet"
        in browser_with("view_modechange").get(PAGE).text
    )


def test_it_shows_which_process_follows_which_version_and_marks_who_is_behind_or_stale(rows):
    store.change(mode="off", actor="ann", reason="quiet")
    store.change(mode="enforce", percent=10, actor="ann", reason="a canary")
    beaten(1, 2, mode="enforce")
    beaten(2, 1)
    beaten(3, 2, silent_for=40)
    found = rows()
    assert "1.2" in found[1]
    assert "enforce 10&nbsp;%" in found[1]
    assert marks(found[1]) == []
    assert marks(found[2]) == ["not the newest"]
    assert marks(found[3]) == ["sn-stale"]
    assert "40 s ago" in found[3]
    assert "41 s ago" in found[3]  # confirmed one second before its last heartbeat


MARKS = ["not the newest", "sn-stale"]


def marks(row):
    return [mark for mark in MARKS if mark in row]


def test_a_hosts_name_is_text(rows):
    beaten(4, 1, host="<b>x</b>")
    assert "&lt;b&gt;x" in rows()[4]
