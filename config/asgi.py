"""The ASGI application: `config.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from stageapp import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide(needs_redis=False)  # the settings read the URLs that this sets

from config import celery  # noqa: E402, F401  or else task messages go to Celery's default broker

_django = get_asgi_application()

from config.serving import serving_asgi  # noqa: E402  models exist only now

application = serving_asgi(_django)
