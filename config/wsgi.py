"""The WSGI application: `config.wsgi:application`."""

import os

from django.core.wsgi import get_wsgi_application

from config import embedded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
embedded.provide()  # the settings read the URLs that this sets
application = get_wsgi_application()
