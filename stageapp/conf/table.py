"""The one table of settings: a class is a section, its docstring the heading, an attribute a row.

What stands here is read by the application (`conf.settings.batch_seconds`), by config/settings.py for
variables of the environment, by the system checks, and by `manage.py configuration`, which writes
docs/configuration.md and .env.example.
"""

from stageapp.conf.setting import Setting

MOST_WARN_DAYS = 30  # in warn, until a person begins a new warn period


class Servers:
    """Servers"""

    database_url = Setting(
        "",
        "PostgreSQL 16 or newer. Without it an embedded one is started under .local/, for"
        " development only.",
        name="DATABASE_URL",
        example="postgres://user:password@host:5432/stage",
        secret=True,
        site=True,
    )
    redis_url = Setting(
        "redis://localhost:6379/0",
        "Redis 6.2 or newer. Without it an embedded one is started under .local/, for development only.",
        name="REDIS_URL",
        example="redis://host:6379/0",
        secret=True,
    )
    broker_url = Setting(
        "",
        "Where Celery's messages go.",
        usually="REDIS_URL",
        example="redis://host:6379/1",
        secret=True,
        site=True,
    )
    embedded_postgres = Setting(
        "18",
        "Major version of the embedded PostgreSQL.",
        choices=("18", "16"),
        site=True,
    )
    embedded = Setting(
        False,
        "The database is an embedded one. Set by the commands that start it; leave it unset.",
    )


class Site:
    """The site"""

    debug = Setting(
        False,
        "Django's debug pages, and embedded servers where no URL is set.",
        name="DEBUG",
        usually="on while the database is an embedded one, else off",
        site=True,
    )
    secret_key = Setting(
        "",
        "Django's key: 50 random characters or more, needed with DEBUG off.",
        name="SECRET_KEY",
        usually="with DEBUG on, one is made and kept under .local/",
        secret=True,
        site=True,
    )
    allowed_hosts = Setting(
        list[str](),
        "Host names the site answers to.",
        name="ALLOWED_HOSTS",
        usually="with DEBUG on, localhost and its addresses",
        example="stages.example.org",
        site=True,
    )
    csrf_trusted_origins = Setting(
        list[str](),
        "Origins that may post forms when a proxy changes the host, with scheme.",
        name="CSRF_TRUSTED_ORIGINS",
        example="https://stages.example.org",
        site=True,
    )
    secure_ssl_redirect = Setting(
        True,
        "Redirect plain HTTP to HTTPS. Turn it off if the proxy does it.",
        name="SECURE_SSL_REDIRECT",
        usually="on with DEBUG off",
        site=True,
    )
    secure_hsts_seconds = Setting(
        3600,
        "How long a browser remembers to use HTTPS only.",
        unit="seconds",
        least=0,
        name="SECURE_HSTS_SECONDS",
        usually="3600 with DEBUG off",
        site=True,
    )
    log_level = Setting(
        "INFO",
        "The least important events that are logged. Commands on a terminal: WARNING.",
        choices=("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        name="LOG_LEVEL",
        site=True,
    )


class Requests:
    """Requests"""

    read_seconds = Setting(
        10.0,
        "How long a client may take to send a whole request; then the answer is 408.",
        unit="seconds",
        above=0,
    )
    throttle_per_minute = Setting(
        3000.0,
        "Requests that each consumer (or operator) may make to one web process in a minute, also"
        " at once; 0 is no limit. Processes count for themselves: two of them take up to twice as"
        " many.",
        unit="requests",
        least=0,
    )
    throttle_anonymous_per_minute = Setting(
        300.0,
        "The same for each address that calls without valid credentials.",
        unit="requests",
        least=0,
    )
    trusted_proxies = Setting(
        0,
        "How many of your proxies add one entry each to X-Forwarded-For. With 0 that header is not"
        " read; a number that is too high believes what a client wrote.",
        unit="proxies",
        least=0,
    )


class Mode:
    """Validation mode"""

    validation_mode = Setting(
        "warn",
        "The mode a fresh database is installed with: off or warn; anything stricter counts as"
        " warn. Later people change it, in the admin or with `manage.py mode set`.",
    )
    mode_max_staleness = Setting(
        30.0,
        "How long a process uses the last mode it knew while neither store answers. After that"
        " enforce counts as warn.",
        unit="seconds",
        above=0,
    )
    refresh_seconds = Setting(
        4.0,
        "How often a process reads the mode and the vocabulary again and writes its counts: at most"
        " STAGE_MODE_MAX_STALENESS.",
        unit="seconds",
        above=0,
    )
    refresher = Setting(
        True,
        "Whether a process reads again in the background. Short-lived processes that the program"
        " starts turn it off; leave it unset.",
    )


class Normalization:
    """Normalization"""

    targets = Setting(
        ["stageapp.PortfolioCompany.stage"],
        "The columns that may be normalized, as app.Model.field. Options follow a `?`, joined by"
        " `&` (docs/runs.md). The SQL of `where` is put into statements as it is, so it must be"
        " your team's own; write %2C for a comma in it.",
    )
    batch_seconds = Setting(
        0.15,
        "The time one batch's transaction aims at; batches grow and shrink towards it.",
        unit="seconds",
        above=0,
        most=0.2,
    )
    batch_pause_seconds = Setting(0.1, "The pause between two batches.", unit="seconds", least=0)
    hold = Setting(
        {
            "replica_lag": 10.0,
            "lock_waiters": 10.0,
            "active_sessions": 50.0,
            "wal_files": 100.0,
            "transaction_age": 3600.0,
            "disk_free": 10.0,
        },
        "A run waits while one of these is at its limit (docs/runs.md). A limit that is not named"
        " keeps its default; 0 turns one off. Limits may be changed for one run while it works.",
    )
    standby_urls = Setting(
        list[str](),
        "Standbys that are asked for their lag themselves; any role that may connect will do."
        " Those that stream from the primary are seen there, if the role has pg_monitor.",
        secret=True,
        example="postgres://user:password@standby:5432/stage",
    )
    disk_paths = Setting(
        list[str](),
        "Folders of this machine whose free disk counts. PostgreSQL tells nobody how full its disk"
        " is, so name its data folder if the workers see that file system.",
        example="/var/lib/postgresql",
    )
    plan_max_age_hours = Setting(
        24.0, "How old a plan may be when its run first starts.", unit="hours", above=0
    )
    drift_timeout_seconds = Setting(
        5.0,
        "How long the drift check and a preview of a decision may read one target.",
        unit="seconds",
        above=0,
        most=30,
    )


class Rollout:
    """Rollout"""

    two_person_rule = Setting(
        False, "Whether enforcing, a larger share, and a run each need a second person."
    )
    gate_unknown_percent = Setting(
        0.5,
        "In a day, and in a canary's minute, unknown requests must stay below this share.",
        unit="percent",
        above=0,
        most=100,
    )
    gate_hour_unknown_percent = Setting(
        1.0,
        "No hour of the days before enforcement may have a larger share of unknown requests.",
        unit="percent",
        above=0,
        most=100,
    )
    gate_warn_days = Setting(
        7,
        "Consecutive whole days (UTC) in warn that must be good before enforcement.",
        unit="days",
        least=1,
        most=MOST_WARN_DAYS - 1,
    )
    gate_backup_hours = Setting(
        1.0, "How old the verified backup may be when a run starts.", unit="hours", above=0
    )
    auto_downgrade = Setting(True, "Whether auto-downgrade takes enforce back to warn by itself.")
    auto_downgrade_percent = Setting(
        5.0,
        "Auto-downgrade acts when more than this share of the enforced requests was refused in each of five"
        " minutes.",
        unit="percent",
        above=0,
        most=100,
    )


class Consumers:
    """Consumers"""

    internal_networks = Setting(
        [
            "127.0.0.0/8",
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "::1/128",
            "fc00::/7",
        ],
        "Networks whose clients count as internal in the consumer audit, in CIDR notation.",
    )

    sighting_retention_days = Setting(
        90, "How long the counts of what a consumer sent are kept.", unit="days", least=1
    )


class Backups:
    """Backups"""

    require_backup = Setting(
        False,
        "Whether a run needs a verified backup, at most STAGE_GATE_BACKUP_HOURS old, and a"
        " rehearsal passed since the schema last changed.",
        usually="on with a DATABASE_URL of your own, else off",
    )
    backup_dir = Setting(
        "",
        "The folder of the backups: on another disk than the database.",
        usually="with the embedded server .local/backups",
        example="/var/backups/stage",
    )
    backup_key = Setting(
        "",
        "Signs the manifests: 32 random characters or more (openssl rand -hex 32). Keep a copy"
        " apart from the backups. Several, separated by spaces: the first signs, each is accepted.",
        usually="with the embedded server one is made from SECRET_KEY",
        secret=True,
    )
    backup_minutes = Setting(
        0.0,
        "How often beat makes and verifies a backup (and rehearses it after a change of the schema,"
        " or once a day); 0 is never. At 50 the newest verified backup is never older than an hour.",
        unit="minutes",
        least=0,
    )
    backup_keep = Setting(
        48, "How many backups stay; the last verified one always does.", unit="backups", least=1
    )
    rehearsal_database_url = Setting(
        "",
        "Where restores are rehearsed: a URL of a server, or `embedded` for a throw-away one.",
        name="REHEARSAL_DATABASE_URL",
        usually="the live server",
        secret=True,
    )
    postgres_programs = Setting(
        "",
        "The folder of pg_dump, pg_restore and psql.",
        usually="those that come along (PostgreSQL 16 and 18)",
    )
    backup_adapter = Setting(
        "", "The command of another backup system's adapter (docs/backups.md)."
    )
    backup_adapter_seconds = Setting(
        7200.0, "How long the adapter may take.", unit="seconds", above=0
    )


class Webhook:
    """The webhook"""

    alertmanager_webhook_secret = Setting(
        "",
        "Signs the deliveries of alerts: 32 random characters or more (openssl rand -hex 32), or"
        " whsec_ and base64 of 24 bytes or more. Several, separated by spaces: the first signs,"
        " each is accepted. Set, but weak or empty: nothing starts. Unset: no signature is"
        " accepted.",
        name="ALERTMANAGER_WEBHOOK_SECRET",
        secret=True,
    )
    alertmanager_bearer_token = Setting(
        "",
        "The token that Alertmanager sends itself, where it calls without the relay: as above, of"
        " letters, digits and - . _ ~ + /.",
        name="ALERTMANAGER_BEARER_TOKEN",
        secret=True,
    )
    base_url = Setting(
        "",
        "The address at which the site may call itself, so that a test of the webhook goes all the"
        " way.",
        usually="a test goes straight to the verifying code",
        example="https://stages.example.org",
    )


class Observability:
    """Metrics and log"""

    ops_networks = Setting(
        ["127.0.0.0/8", "::1/128"],
        "Networks whose clients may read /metrics, and reach /_ops/ without credentials (which"
        " /_ops/ then asks for), in CIDR notation. Behind a proxy it needs STAGE_TRUSTED_PROXIES:"
        " else nobody is inside.",
    )

    metrics_token = Setting(
        "",
        "Whoever sends it as `Authorization: Bearer …` may read /metrics from anywhere: 32 random"
        " characters or more (openssl rand -hex 32); several, separated by spaces, while you"
        " change it.",
        secret=True,
    )
    worker_metrics_host = Setting("127.0.0.1", "Where a worker serves its own /metrics.")
    worker_metrics_port = Setting(
        0,
        "The port of it; 0 serves nothing. Each worker of a machine needs its own.",
        least=0,
        most=65535,
    )
    log_sample_rate = Setting(
        0.1,
        "The share of unknown-stage events that are logged where a process meets ten or more in a"
        " minute.",
        above=0,
        most=1,
    )


class Settings(
    Servers,
    Site,
    Requests,
    Mode,
    Normalization,
    Rollout,
    Consumers,
    Backups,
    Webhook,
    Observability,
):
    """All of them; its bases are the sections, in the order of the documents."""
