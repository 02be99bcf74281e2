"""The product's Celery application with a broker that looks each second for messages to give
again after a second.
"""

from config.celery import app

app.conf.broker_transport_options = app.conf.broker_transport_options | {
    "visibility_timeout": 1,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
