"""The product's Celery application with a broker that gives a message again after a second."""

from config.celery import app

app.conf.broker_transport_options = app.conf.broker_transport_options | {"visibility_timeout": 1}
