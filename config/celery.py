"""The Celery application: `celery -A config.celery worker --beat`."""

import os

from config import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide()

from celery import Celery  # noqa: E402  the servers must be known before settings load

app = Celery("stage")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
