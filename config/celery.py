"""The Celery application: `celery -A config.celery worker --beat`."""

import os
from typing import Any

from config import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide()

from celery import Celery, signals  # noqa: E402  the servers must be known before settings load

from stageapp import metrics_folder  # noqa: E402

app = Celery("stage")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@signals.celeryd_init.connect  # type: ignore[untyped-decorator]
def begin_metrics(**_: Any) -> None:
    """Begin the folder of the metrics, as a worker's master and before Django loads."""
    metrics_folder.begin("worker")
