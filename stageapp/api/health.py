"""/healthz: this process responds. /readyz: it can do its work. Neither needs credentials."""

from functools import cache

import redis
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from stageapp.infrastructure.redis import strict
from stageapp.mode import store


class MigrationsMissingError(Exception):
    """The database schema is older than the code."""


@csrf_exempt  # so that a wrong method is told as one
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Report that the process responds; depends on no other service."""
    return JsonResponse({"status": "ok"})


@csrf_exempt  # so that a wrong method is told as one
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Report database and migrations (503 if unavailable), and Redis (degraded if unavailable)."""
    database = fast_copy = "ok"
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        require_migrations()
    except DatabaseError:
        database = "away"
    except MigrationsMissingError:
        database = "migrations missing; run `manage.py migrate`"
    try:
        strict().ping()
    except redis.RedisError:
        fast_copy = "away"
    parts = {"database": database, "redis": fast_copy, "mode_source": store.current().source}
    ready = database == "ok"
    status = "unavailable" if not ready else "ok" if fast_copy == "ok" else "degraded"
    return JsonResponse({"status": status, **parts}, status=200 if ready else 503)


@cache  # an exception is not kept: only the good answer is, as applied migrations stay applied
def require_migrations() -> None:
    """Raise MigrationsMissingError if a migration is not applied."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise MigrationsMissingError
