"""Gauges of what waits. The rows are the queue; the broker's messages only tell whether anybody takes nudges."""

from collections.abc import Iterator

from celery import current_app
from prometheus_client.core import Metric

from stageapp import metrics
from stageapp.models.backups import BackupJob
from stageapp.normalization import runs


def waiting_rows() -> Iterator[Metric]:
    """Yield the runs that nobody works on although they should, and the backup jobs not yet begun."""
    jobs = BackupJob.objects.filter(state="waiting").count()
    yield metrics.QUEUE_DEPTH.of({("runs",): len(runs.forgotten()), ("backups",): jobs})


def waiting_messages() -> int:
    """Return how many messages wait in the broker; raises what its client raises when it is away."""
    queue = current_app.conf.task_default_queue
    with current_app.connection_for_read() as connection:
        channel = connection.channel()
        try:
            return int(channel.queue_declare(queue=queue, passive=True).message_count)
        except connection.channel_errors:  # an empty queue is no key in Redis
            return 0
