"""Who may enter the demo: an administrator and an API consumer, each with a secret that is shown once."""

import secrets

from django.contrib.auth import get_user_model

from stageapp import consumers
from stageapp.models.consumers import Consumer

ADMIN = "admin"
CONSUMER = "demo"


def admin_password() -> str | None:
    """Make the administrator and return its password; None if there is one, whose password stays as it is."""
    users = get_user_model()._default_manager
    if users.filter(username=ADMIN).exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    return password


def consumer_token(*scopes: str) -> str | None:
    """Make the consumer and return its token; None if there is one, whose token only its keeper knows."""
    if Consumer.objects.filter(name=CONSUMER).exists():
        return None
    return consumers.create(CONSUMER, scopes or ("read", "write"))[1]
