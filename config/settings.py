"""Django settings of the site, read from the environment (docs/configuration.md has every name).

Importing this module starts nothing. Each variable NAME may also be given as NAME_FILE, the path of
a file that holds the value.
"""

from pathlib import Path

import environ
from redis.backoff import NoBackoff
from redis.retry import Retry

from config import logs, middleware, secret_key
from stageapp import conf
from stageapp.embedded import broker_url
from stageapp.webhook.secrets import refuse_weak

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.FileAwareEnv()
if (BASE_DIR / ".env").is_file():
    env.read_env(str(BASE_DIR / ".env"))
given = conf.from_environment(env.ENVIRON)

# The entry points (manage.py, wsgi, celery, pytest) start the embedded servers and set the two
# URLs.
STAGE_EMBEDDED = given.get("STAGE_EMBEDDED", False)
_HAS_OWN_DATABASE = not STAGE_EMBEDDED and "DATABASE_URL" in given

DEBUG = given.get("DEBUG", not _HAS_OWN_DATABASE)
SECRET_KEY = given.get("SECRET_KEY") or secret_key.made_or_kept(BASE_DIR / ".local", debug=DEBUG)
ALLOWED_HOSTS = given.get("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS = given.get("CSRF_TRUSTED_ORIGINS", [])

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
    "config.middleware.RequestIds",
    "config.middleware.ProtectiveHeaders",
    "django.middleware.security.SecurityMiddleware",
    "stageapp.api.fallbacks.OpsGate",
    "csp.middleware.CSPMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "config.middleware.SlidingSessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.request_counts.RequestCounts",
]
# In seconds. The library's own begin at 10 ms, by when most requests have long been answered.
PROMETHEUS_LATENCY_BUCKETS = tuple(
    ms / 1000
    for ms in (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, float("inf"))
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
DATABASES = {"default": env.db_url_config(given.get("DATABASE_URL", "postgres:///stage"))}
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

REDIS_URL = given.get("REDIS_URL", "redis://localhost:6379/0")
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
LOGIN_REDIRECT_URL = "admin:index"

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
SESSION_COOKIE_AGE = 12 * 3600  # seconds without a request: middleware.SlidingSessions
SECURE_CONTENT_TYPE_NOSNIFF = True
CONTENT_SECURITY_POLICY = middleware.CONTENT_SECURITY_POLICY
SECURE_REFERRER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = given.get("SECURE_SSL_REDIRECT", not DEBUG)
# Asked by machines on the inside, past the proxy that ends TLS.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = given.get("SECURE_HSTS_SECONDS", 0 if DEBUG else 3600)
# Both would speak for other hosts of the domain, which are not ours to decide about.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 262_144  # bytes of a request body; a larger one is 413
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
        "Normalization of investment stages. Every error is a problem document (RFC 9457)."
    ),
    "VERSION": "0.1.0",
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/(?:api|_ops)",
    "POSTPROCESSING_HOOKS": ["stageapp.api.openapi.document.complete"],
}

# Celery: the row is the queue, a message is only a nudge. So results are not kept, tasks are short,
# and a task whose worker dies is given again (acks_late alone loses it).
CELERY_BROKER_URL = given.get("STAGE_BROKER_URL") or broker_url(REDIS_URL)
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
# Seconds from one message to the next. One that no worker took in `expires` seconds is dropped: the
# next one says the same.
CELERY_BEAT_SCHEDULE = {
    task.replace("_", "-"): {
        "task": f"stageapp.tasks.{task}",
        "schedule": seconds,
        "options": {"expires": expires},
    }
    for task, seconds, expires in [
        ("nudge_forgotten_runs", 15.0, None),
        ("watch_drift", conf.DRIFT_SECONDS, None),
        ("forget_old_sightings", 3600.0, None),
        ("roll_up_traffic", 600.0, 600),
        ("count_guarded", 60.0, 60),
        ("watch_enforcement", 5.0, 30),
        ("take_planned_steps", 60.0, 60),
        ("keep_backups", 60.0, 60),
        ("clear_sessions", 3600.0, 3600),
    ]
}
CELERY_BEAT_SCHEDULE_FILENAME = str(BASE_DIR / ".local" / "celerybeat-schedule")

LOGGING = logs.configure(given.get("LOG_LEVEL", "INFO"))

# What the application reads. Here is only what this site knows better than the defaults; the
# environment has the last word.
STAGE_BACKUP_DIR = str(BASE_DIR / ".local" / "backups") if STAGE_EMBEDDED else ""
STAGE_REQUIRE_BACKUP = _HAS_OWN_DATABASE
globals().update(
    {row.name: given[row.name] for row in conf.ROWS if not row.site and row.name in given}
)
refuse_weak(env.ENVIRON)
