"""Django settings, read from the environment (`.env.example` documents every name).

Importing this module starts nothing. Each variable NAME may also be given as NAME_FILE, the path of
a file that holds the value.
"""

from collections.abc import Callable
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import headers, logs, secret_key
from stageapp.embedded import broker_url
from stageapp.webhook.secrets import SecretError, read_secrets, read_tokens

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))

# The entry points (manage.py, wsgi, celery, pytest) start the embedded servers and set the two
# URLs.
EMBEDDED = env.bool("STAGE_EMBEDDED", default=False)
_HAS_OWN_DATABASE = not EMBEDDED and bool(env.str("DATABASE_URL", default=""))

DEBUG = env.bool("DEBUG", default=not _HAS_OWN_DATABASE)

SECRET_KEY = env.str("SECRET_KEY", default="") or secret_key.made_or_kept(
    BASE_DIR / ".local", debug=DEBUG
)
ALLOWED_HOSTS = env.list(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else []
)
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "stageapp.apps.StageAppConfig",
    "stageapp.apps.StageAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "django_htmx",
]

MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "config.request_ids.RequestIds",
    "config.headers.ProtectiveHeaders",
    "django.middleware.security.SecurityMiddleware",
    "stageapp.api.fallbacks.OpsGate",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.request_counts.RequestCounts",
]
# Seconds. The library's own begin at 10 ms, which is where most requests have long been answered.
PROMETHEUS_LATENCY_BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    float("inf"),
)

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# Where no URL is set nothing listens here: a command that needs the database has started it before.
DATABASES = {"default": env.db("DATABASE_URL", default="postgres:///stage")}
if DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
    DATABASES["default"]["ENGINE"] = "django_prometheus.db.backends.postgresql"  # the same, counted
DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# A server that vanishes without a word (a cut network) is noticed after about 20 s, not after
# hours.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
} | DATABASES["default"].get("OPTIONS", {})
DATABASES["default"]["TEST"] = {"NAME": env.str("STAGE_TEST_DATABASE_NAME", default="test_stage")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env.str("REDIS_URL", default="redis://localhost:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": REDIS_URL,
        "OPTIONS": {
            "CLIENT_CLASS": "django_redis.client.DefaultClient",
            # A strict client: one attempt, 100 ms. redis-py's own default is ten retries.
            "SOCKET_CONNECT_TIMEOUT": 0.1,
            "SOCKET_TIMEOUT": 0.1,
            "CONNECTION_POOL_KWARGS": {"retry": Retry(NoBackoff(), 0)},
        },
    }
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = False
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
SESSION_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
CONTENT_SECURITY_POLICY = headers.CONTENT_SECURITY_POLICY
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = env.bool("SECURE_SSL_REDIRECT", default=not DEBUG)
# Asked by machines on the inside, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = env.int("SECURE_HSTS_SECONDS", default=0 if DEBUG else 3600)
SECURE_HSTS_INCLUDE_SUBDOMAINS = env.bool("SECURE_HSTS_INCLUDE_SUBDOMAINS", default=False)
# Both would speak for other hosts of the domain, which are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
X_FRAME_OPTIONS = "DENY"
STAGE_READ_SECONDS = env.float("STAGE_READ_SECONDS", default=10.0)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("STAGE_MAX_BODY_BYTES", default=262_144)
# A file is read in memory or not at all: what is larger is dropped as it arrives, and nothing goes
# to a disk.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 1_048_576

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "stageapp.api.authentication.ConsumerTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["stageapp.api.authentication.HasScope"],
    "DEFAULT_PARSER_CLASSES": ["stageapp.api.parsing.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "EXCEPTION_HANDLER": "stageapp.api.problems.problem_response",
    "DEFAULT_SCHEMA_CLASS": "stageapp.api.openapi.operations.EndpointSchema",
    "URL_FORMAT_OVERRIDE": None,  # ?format= is no parameter of ours
    "DEFAULT_PAGINATION_CLASS": "rest_framework.pagination.PageNumberPagination",
    "PAGE_SIZE": 100,
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Stage normalization",
    "DESCRIPTION": (
        "Stages of investment, normalized. Every error is a problem document (RFC 9457)."
    ),
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/(?:api|_ops)",
    "POSTPROCESSING_HOOKS": ["stageapp.api.openapi.document.complete"],
}

# Celery: the row is the queue, a message is only a nudge. So results are not kept, tasks are short,
# and a task whose worker dies is given again (acks_late alone loses it).
CELERY_BROKER_URL = env.str("STAGE_BROKER_URL", default=broker_url(REDIS_URL))
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 300,
    "socket_timeout": 1,
    "socket_connect_timeout": 1,
    # A message is a nudge: with the broker hanging it is tried once, 1 s. Kombu would try again
    # after 2 s.
    "max_retries": 0,
    "queue_order_strategy": "round_robin",
}
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
STAGE_DRIFT_SECONDS = env.float("STAGE_DRIFT_SECONDS", default=60.0)
CELERY_BEAT_SCHEDULE = {
    "nudge-forgotten-runs": {"task": "stageapp.tasks.nudge_forgotten_runs", "schedule": 15.0},
    "watch-drift": {
        "task": "stageapp.tasks.watch_drift",
        "schedule": STAGE_DRIFT_SECONDS,
    },
    "forget-old-sightings": {"task": "stageapp.tasks.forget_old_sightings", "schedule": 3600.0},
    # A message that no worker took in time is dropped: the next one says the same.
    "roll-up-traffic": {
        "task": "stageapp.tasks.roll_up_traffic",
        "schedule": 600.0,
        "options": {"expires": 600},
    },
    "count-guarded": {
        "task": "stageapp.tasks.count_guarded",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "guard-enforcement": {
        "task": "stageapp.tasks.guard_enforcement",
        "schedule": 5.0,
        "options": {"expires": 30},
    },
    "take-planned-steps": {
        "task": "stageapp.tasks.take_planned_steps",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "keep-backups": {
        "task": "stageapp.tasks.keep_backups",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
}
CELERY_BEAT_SCHEDULE_FILENAME = str(BASE_DIR / ".local" / "celerybeat-schedule")

STAGE_VALIDATION_MODE = env.str("STAGE_VALIDATION_MODE", default="warn")
STAGE_MODE_MAX_STALENESS = env.float("STAGE_MODE_MAX_STALENESS", default=30.0)
STAGE_REFRESH_SECONDS = env.float("STAGE_REFRESH_SECONDS", default=4.0)
STAGE_REFRESHER = env.bool("STAGE_REFRESHER", default=True)
STAGE_TARGETS = env.list("STAGE_TARGETS", default=["stageapp.PortfolioCompany.stage"])
STAGE_BATCH_SECONDS = env.float("STAGE_BATCH_SECONDS", default=0.15)
STAGE_BATCH_PAUSE_SECONDS = env.float("STAGE_BATCH_PAUSE_SECONDS", default=0.1)
STAGE_SINGLE_TRANSACTION_ROWS = env.int("STAGE_SINGLE_TRANSACTION_ROWS", default=10_000)
STAGE_HOLD = {
    "replica_lag": env.float("STAGE_HOLD_REPLICA_LAG", default=10.0),
    "lock_waiters": env.float("STAGE_HOLD_LOCK_WAITERS", default=10.0),
    "active_sessions": env.float("STAGE_HOLD_ACTIVE_SESSIONS", default=50.0),
    "wal_files": env.float("STAGE_HOLD_WAL_FILES", default=100.0),
    "transaction_age": env.float("STAGE_HOLD_TRANSACTION_AGE", default=3600.0),
    "disk_free": env.float("STAGE_HOLD_DISK_FREE", default=10.0),
}
STAGE_HOLD_RESUME_PERCENT = env.float("STAGE_HOLD_RESUME_PERCENT", default=80.0)
STAGE_STANDBY_URLS = env.list("STAGE_STANDBY_URLS", default=[])
STAGE_DISK_PATHS = env.list("STAGE_DISK_PATHS", default=[])
STAGE_PLAN_MAX_AGE_HOURS = env.float("STAGE_PLAN_MAX_AGE_HOURS", default=24.0)
STAGE_SEAL_LOCK_SECONDS = env.float("STAGE_SEAL_LOCK_SECONDS", default=1.0)
STAGE_SIGHTINGS_PER_CONSUMER = env.int("STAGE_SIGHTINGS_PER_CONSUMER", default=2000)
STAGE_SIGHTING_RETENTION_DAYS = env.int("STAGE_SIGHTING_RETENTION_DAYS", default=90)
STAGE_UNKNOWN_RETENTION_DAYS = env.int("STAGE_UNKNOWN_RETENTION_DAYS", default=180)
STAGE_INTERNAL_NETWORKS = env.list(
    "STAGE_INTERNAL_NETWORKS",
    default=["127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7"],
)
STAGE_TRUSTED_PROXIES = env.int("STAGE_TRUSTED_PROXIES", default=0)
# Who may read /metrics, and reach /_ops/ without credentials. Only this machine itself, unless set.
STAGE_OPS_NETWORKS = env.list("STAGE_OPS_NETWORKS", default=["127.0.0.0/8", "::1/128"])
STAGE_METRICS_TOKEN = env.str("STAGE_METRICS_TOKEN", default="")
STAGE_WORKER_METRICS_HOST = env.str("STAGE_WORKER_METRICS_HOST", default="127.0.0.1")
STAGE_WORKER_METRICS_PORT = env.int("STAGE_WORKER_METRICS_PORT", default=0)
STAGE_LOG_SAMPLE_RATE = env.float("STAGE_LOG_SAMPLE_RATE", default=0.1)
STAGE_THROTTLE_PER_MINUTE = env.float("STAGE_THROTTLE_PER_MINUTE", default=3000.0)
STAGE_THROTTLE_ANONYMOUS_PER_MINUTE = env.float(
    "STAGE_THROTTLE_ANONYMOUS_PER_MINUTE", default=300.0
)
STAGE_DRIFT_TIMEOUT_SECONDS = env.float("STAGE_DRIFT_TIMEOUT_SECONDS", default=5.0)
STAGE_TWO_PERSON_RULE = env.bool("STAGE_TWO_PERSON_RULE", default=False)
STAGE_TRAFFIC_RETENTION_DAYS = env.int("STAGE_TRAFFIC_RETENTION_DAYS", default=35)
STAGE_GATES = {
    "unknown_percent": env.float("STAGE_GATE_UNKNOWN_PERCENT", default=0.5),
    "hour_unknown_percent": env.float("STAGE_GATE_HOUR_UNKNOWN_PERCENT", default=1.0),
    "warn_days": env.int("STAGE_GATE_WARN_DAYS", default=7),
    "warn_max_days": env.int("STAGE_GATE_WARN_MAX_DAYS", default=30),
    "day_sample": env.int("STAGE_GATE_DAY_SAMPLE", default=200),
    "hour_sample": env.int("STAGE_GATE_HOUR_SAMPLE", default=100),
    "green_minutes": env.int("STAGE_GATE_GREEN_MINUTES", default=30),
    "slow_percent": env.float("STAGE_GATE_SLOW_PERCENT", default=1.0),
    "error_percent": env.float("STAGE_GATE_ERROR_PERCENT", default=0.1),
    "minute_sample": env.int("STAGE_GATE_MINUTE_SAMPLE", default=10),
    "canary_hours": env.float("STAGE_GATE_CANARY_HOURS", default=2.0),
    "half_hours": env.float("STAGE_GATE_HALF_HOURS", default=4.0),
    "done_hours": env.float("STAGE_GATE_DONE_HOURS", default=24.0),
    "audit_days": env.float("STAGE_GATE_AUDIT_DAYS", default=7.0),
    "backup_hours": env.float("STAGE_GATE_BACKUP_HOURS", default=1.0),
}
STAGE_GUARD = {
    "enabled": env.bool("STAGE_GUARD", default=True),
    "percent": env.float("STAGE_GUARD_PERCENT", default=5.0),
    "minutes": env.int("STAGE_GUARD_MINUTES", default=5),
    "sample": env.int("STAGE_GUARD_SAMPLE", default=50),
    "fast_percent": env.float("STAGE_GUARD_FAST_PERCENT", default=20.0),
    "fast_seconds": env.int("STAGE_GUARD_FAST_SECONDS", default=30),
    "fast_sample": env.int("STAGE_GUARD_FAST_SAMPLE", default=20),
}

# Backups. With the embedded servers they go under .local/ and are signed with a key made from
# SECRET_KEY.
STAGE_BACKUP_DIR = env.str(
    "STAGE_BACKUP_DIR", default=str(BASE_DIR / ".local" / "backups") if EMBEDDED else ""
)
STAGE_BACKUP_KEY = env.str("STAGE_BACKUP_KEY", default="")
STAGE_BACKUP_MINUTES = env.float("STAGE_BACKUP_MINUTES", default=0.0)
STAGE_BACKUP_KEEP = env.int("STAGE_BACKUP_KEEP", default=48)
STAGE_BACKUP_ADAPTER = env.str("STAGE_BACKUP_ADAPTER", default="")
STAGE_BACKUP_ADAPTER_SECONDS = env.float("STAGE_BACKUP_ADAPTER_SECONDS", default=7200.0)
STAGE_REQUIRE_BACKUP = env.bool("STAGE_REQUIRE_BACKUP", default=_HAS_OWN_DATABASE)
STAGE_POSTGRES_PROGRAMS = env.str("STAGE_POSTGRES_PROGRAMS", default="")
REHEARSAL_DATABASE_URL = env.str("REHEARSAL_DATABASE_URL", default="")


def _checked(name: str, value: str | None, read: Callable[[str], object]) -> str:
    """Return a setting that holds secrets as it stands, empty where it is unset.

    Raises:
        ImproperlyConfigured: it is set, and too weak: a process that would believe anybody must not
            start.
    """
    try:
        if value is not None:
            read(value)
    except SecretError as error:
        raise ImproperlyConfigured(f"{name} is refused: {error}.") from None
    return value or ""


# The webhook by which Alertmanager takes enforce back (docs/webhook.md). Where neither is set it
# believes nobody. Read as they stand: env.str() takes what is empty for unset, and a $ at the
# beginning for another variable's name.
ALERTMANAGER_WEBHOOK_SECRET = _checked(
    "ALERTMANAGER_WEBHOOK_SECRET", env.ENVIRON.get("ALERTMANAGER_WEBHOOK_SECRET"), read_secrets
)
ALERTMANAGER_BEARER_TOKEN = _checked(
    "ALERTMANAGER_BEARER_TOKEN", env.ENVIRON.get("ALERTMANAGER_BEARER_TOKEN"), read_tokens
)
STAGE_WEBHOOK_RETENTION_DAYS = env.int("STAGE_WEBHOOK_RETENTION_DAYS", default=30)
STAGE_BASE_URL = env.str("STAGE_BASE_URL", default="")

LOGGING = logs.configure(env.str("LOG_LEVEL", default="INFO").upper())
