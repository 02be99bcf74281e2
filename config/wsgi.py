"""The WSGI application: `config.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from stageapp import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide(needs_redis=False)  # the settings read the URLs that this sets

from config import celery  # noqa: E402, F401  or else task messages go to Celery's default broker

_django = get_wsgi_application()

from config.serving import readable_content_type, serving  # noqa: E402  models exist only now

application = readable_content_type(serving(_django))
