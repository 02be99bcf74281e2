"""What the database holds, read by SQL of the tests' own: the column, the log, and whether they
agree.
"""

import re
import time
from urllib.parse import quote

from django.db import connection

from stageapp.models import PortfolioCompany, Run

LABEL = "stageapp.PortfolioCompany.stage"
ME = {"actor": "tester", "reason": "test"}


def sql(statement, *parameters):
    """Run a statement; return its rows, if it has any."""
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def until_asleep():
    """Wait until a session of this database sleeps, and return its process id."""
    asleep = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = "
        "current_database()"
    )
    deadline = time.monotonic() + 15
    while not (found := sql(asleep)):
        assert time.monotonic() < deadline, "no session sleeps"
        time.sleep(0.005)
    return found[0][0]


def column():
    """Return every row's stage by key."""
    return dict(PortfolioCompany.objects.values_list("id", "stage"))


def column_md5():
    """Return one fingerprint of the whole column, in key order."""
    return sql(
        "SELECT md5(string_agg(id || '|' || stage, E'\\n' ORDER BY id)) FROM "
        "stageapp_portfoliocompany"
    )[0][0]


def log_of(run, direction="forward"):
    """Return the audit log of a run as (row, old, new), in the order written."""
    return [
        (int(key), old, new)
        for key, old, new in sql(
            "SELECT row_key, old, new FROM stageapp_auditentry l JOIN stageapp_batch b ON b.id = "
            "l.batch_id WHERE b.run_id = %s AND b.direction = %s ORDER BY b.id, row_key::bigint",
            run.pk,
            direction,
        )
    ]


def database_url():
    """Return the URL of the test database, for a process of its own."""
    of = connection.settings_dict
    host = of["HOST"]
    if host.startswith("/"):
        return f"postgres://{of['USER']}:{of['PASSWORD']}@:{of['PORT']}/{host}/{of['NAME']}"
    return f"postgres://{of['USER']}:{quote(of['PASSWORD'])}@{host}:{of['PORT']}/{of['NAME']}"


def assert_i1(run, before):
    """Assert that the log holds exactly what changed: replayed on the column as it was, it gives
    the column.

    `before` is the column by key as the run found it, with no writer beside the run.
    """
    replayed = dict(before)
    for key, old, new in log_of(run):
        assert replayed[key] == old, (key, replayed[key], old)
        replayed[key] = new
    assert replayed == column()
    assert len({key for key, _, _ in log_of(run)}) == len(log_of(run))


def newest_run():
    """Return the newest run as the database has it."""
    return Run.objects.first()


def at_once(text):
    """Return a text in which what happened seconds ago, as a busy machine counts them, is 0 s
    ago.
    """
    return re.sub(r"\b\d s ago", "0 s ago", text)
