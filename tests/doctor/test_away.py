"""The doctor as a process of its own, with real parts taken away: it says so, and never with a
traceback.
"""

import json
import sys
import time
from pathlib import Path

from django.conf import settings as django_settings

from stageapp.mode import processes
from tests.normalization.conftest import transactional_db  # noqa: F401  a database that other processes see
from tests.normalization.processes import begin, manage, wait_for

NOWHERE = "redis://127.0.0.1:1/0"
NO_DATABASE = "postgres://stage:hunter2@127.0.0.1:1/stage"


def examined(**environment):
    code, out, err = manage("doctor", "--json", **environment)
    assert "Traceback" not in err
    document = json.loads(out)
    return code, {answer["name"]: answer for answer in document["answers"]}, document, err


def test_with_postgresql_away_it_still_examines_the_rest(transactional_db):  # noqa: F811
    code, answers, document, err = examined(DATABASE_URL=NO_DATABASE)
    assert code == 1
    assert "postgresql" in document["failed"]
    assert answers["migrations"]["health"] == "no_data"
    assert answers["redis"]["health"] == "ok"
    assert answers["broker"]["health"] == "ok"
    assert "hunter2" not in json.dumps(document) + err


def test_with_redis_away_it_still_examines_the_rest(transactional_db):  # noqa: F811
    began = time.monotonic()
    code, answers, document, _ = examined(REDIS_URL=NOWHERE)
    assert code == 1
    assert {"redis", "broker"} <= set(document["failed"])
    assert answers["worker (by broker)"]["health"] == "no_data"
    assert answers["postgresql"]["health"] == answers["parity"]["health"] == "ok"
    assert time.monotonic() - began < 120


def test_with_both_away_it_answers(transactional_db):  # noqa: F811
    code, answers, document, _ = examined(DATABASE_URL=NO_DATABASE, REDIS_URL=NOWHERE)
    assert code == 1
    assert {"postgresql", "redis", "broker"} <= set(document["failed"])
    assert {"webhook secret", "targets", "backup"} <= set(answers)


def test_without_worker_and_beat_it_fails_and_says_how_to_start_them(transactional_db):  # noqa: F811
    code, out, err = manage("doctor")
    assert code == 1
    assert "FAIL     worker (by registry)" in out
    assert "celery -A config.celery beat" in out
    assert "worker (by registry)" in err


def test_a_live_worker_is_seen(transactional_db, tmp_path):  # noqa: F811
    celery = [
        str(Path(sys.executable).with_name("celery")),
        "-A",
        "config.celery",
        "worker",
        "--beat",
    ]
    schedule = ["--schedule", str(tmp_path / "schedule"), "--pool", "solo", "--loglevel", "WARNING"]
    own = {"REDIS_URL": django_settings.REDIS_URL, "STAGE_REFRESHER": "1"}
    worker = begin(*celery, *schedule, **own)
    try:
        wait_for(
            lambda: {one.name for one in processes.seen() if one.live} >= {"worker"}, 60, "a worker"
        )
        _, answers, document, _ = examined(**own)
    finally:
        worker.terminate()
        worker.communicate(timeout=60)
    assert answers["worker (by registry)"]["health"] == "ok"
    assert answers["worker (by broker)"]["health"] in ("ok", "warn")
    assert not {"redis", "broker", "postgresql"} & set(document["failed"])
