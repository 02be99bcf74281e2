"""The ASGI application: `config.asgi:application`."""

import os

from django.core.asgi import get_asgi_application

from config import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide()  # the settings read the URLs that this sets
application = get_asgi_application()
