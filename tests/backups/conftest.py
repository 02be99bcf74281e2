"""A database whose commits are real, a folder of its own for backups, and one backup to look at."""

import pytest

from stageapp.backups import create, keeping
from stageapp.models import Fund, PortfolioCompany
from stageapp.normalization import plan as plans
from stageapp.normalization import runs, worker
from tests import shipped_vocabulary
from tests.normalization.conftest import _empty
from tests.normalization.evidence import LABEL, ME, sql

STAGES = [
    "Seed ",
    "seed",
    "series-a",
    "nobody knows",
    "SEED",
    "S\u00e9ries B",
    "Pre Seed",
    "growth",
    "x\ny",
    "\u00a0",
]


@pytest.fixture
def transactional_db(django_db_setup, django_db_blocker):
    """Open the test database without a surrounding transaction: pg_dump has a session of its
    own.
    """
    with django_db_blocker.unblock():
        _empty_all()
        shipped_vocabulary.ensure()
        yield
        _empty_all()


def _empty_all():
    _empty()
    sql(
        "TRUNCATE stageapp_backupcheck, stageapp_backupjob, stageapp_backup RESTART IDENTITY "
        "CASCADE"
    )


@pytest.fixture
def backups(transactional_db, settings, tmp_path):
    """Return the folder of backups, empty, and a database of 200 companies of which a run has
    changed some.
    """
    settings.STAGE_BACKUP_DIR = str(tmp_path / "backups")
    settings.STAGE_BACKUP_KEY = "k" * 32
    settings.STAGE_BATCH_PAUSE_SECONDS = 0
    fund, _ = Fund.objects.get_or_create(name="first fund")
    PortfolioCompany.objects.bulk_create(
        PortfolioCompany(fund=fund, name=f"c {number}", stage=STAGES[number % len(STAGES)])
        for number in range(200)
    )
    worker.advance(runs.start(plans.make_plan(LABEL, actor="tester").run, **ME))
    return tmp_path / "backups"


@pytest.fixture
def made(backups):
    """Return a backup as it was made."""
    return create.create()


@pytest.fixture
def kept(backups):
    """Return a backup that is on record."""
    return keeping.create(**ME)
