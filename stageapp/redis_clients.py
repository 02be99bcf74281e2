"""Two Redis clients: a strict one for reads and writes, a resilient one for hints."""

import redis
from django.conf import settings
from django_redis import get_redis_connection
from redis.backoff import ExponentialBackoff
from redis.retry import Retry


def strict() -> redis.Redis:
    """Return the client for the mode's fast copy: one attempt, 100 ms a call.

    redis-py's default of ten retries holds a call against a stopped server for seconds.
    """
    client: redis.Redis = get_redis_connection("default")
    return client


def resilient() -> redis.Redis:
    """Return the client for pub/sub, which lives on one connection and may take its time to come back."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_connect_timeout=1,
        socket_timeout=1,
        retry=Retry(ExponentialBackoff(cap=1, base=0.1), 1),
        health_check_interval=10,
    )
