"""The Celery application: `celery -A config.celery worker --beat`."""

import os
import sys
from typing import Any

from stageapp import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.setdefault(
    "CELERY_SKIP_CHECKS", "1"
)  # they load every address and screen, and Celery shows no finding
embedded.provide(needs_redis=False)  # a worker waits for its broker by itself

from celery import Celery, signals  # noqa: E402  the servers must be known before settings load

from stageapp.infrastructure import multiprocess  # noqa: E402


# Connected before the application is made, whose own receiver of this signal loads Django.
@signals.import_modules.connect  # type: ignore[untyped-decorator]
def begin_metrics(**_: Any) -> None:
    """Create the metrics folder in the worker's (or beat's) master, before anything is counted."""
    if "prometheus_client" not in sys.modules:
        multiprocess.begin("worker")


app = Celery("stage")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
