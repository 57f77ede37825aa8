"""Settings of the portal: the only module that reads the environment.

Every variable is described in `.env.example`. With DEBUG=true none is required: development keys are then made once and
kept under `var/`. Without it a missing key stops the start.
"""

import secrets
from pathlib import Path
from typing import Any

import environ
from cryptography.fernet import Fernet
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

DEBUG: bool = env.bool("DEBUG", default=False)


def _key(variable: str, make: Any) -> str:
    """Value of a key variable; in development a key made once, kept readable by the owner only."""
    value: str = env.str(variable, default="")
    if value:
        return value
    if not DEBUG:
        raise ImproperlyConfigured(
            f"{variable} is not set. Set it in the environment or in .env (see .env.example); only DEBUG=true works without."
        )
    path = VAR_DIR / f"development-{variable.lower().replace('_', '-')}"
    if not path.exists():
        VAR_DIR.mkdir(mode=0o700, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(make())
    return path.read_text().strip()


# --- keys -----------------------------------------------------------------------------------------------------------
SECRET_KEY = _key("SECRET_KEY", lambda: secrets.token_urlsafe(50))
# Newest first. Separate from SECRET_KEY, whose change empties the task queue.
FIELD_ENCRYPTION_KEYS: list[str] = [
    key.strip()
    for key in _key("FIELD_ENCRYPTION_KEYS", lambda: Fernet.generate_key().decode()).split(",")
    if key.strip()
]

# --- hosts ----------------------------------------------------------------------------------------------------------
ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
# Where the internet reaches the portal, for vendors that call it: https://portal.example.com
PUBLIC_URL: str = env.str("PUBLIC_URL", default="")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "axes",
    "csp",
    "django_htmx",
    "django_q",
    "django_tables2",
    "portal",
    "crm",
    "telephony",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.caching.no_store",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.access.LoginRequired",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.debug",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.context.shell",
            ],
        },
    }
]

# --- database and cache ---------------------------------------------------------------------------------------------
DATABASES: dict[str, Any] = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'portal.sqlite3'}")}
# Without persistent connections the queue reconnects at each of its polls.
DATABASES["default"] |= {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    Path(DATABASES["default"]["NAME"]).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # IMMEDIATE is what makes web and worker share one file without "database is locked".
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA mmap_size=16777216;"
        " PRAGMA cache_size=-20000;",
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL: str = env.str("REDIS_URL", default="")
CACHES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}
    if REDIS_URL
    else {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": VAR_DIR / "cache"}
}

# --- people ---------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = 12 * 3600

AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "registration/locked.html"
AXES_VERBOSE = False
AXES_USERNAME_CALLABLE = "portal.access.attempted_name"
# Number of proxies in front whose X-Forwarded-For entry is trusted; 0 means the peer's own address counts.
TRUSTED_PROXIES: int = env.int("TRUSTED_PROXIES", default=0)
# Else everybody behind a proxy would be one visitor, whom five wrong passwords of a stranger lock out.
AXES_CLIENT_IP_CALLABLE = "portal.access.client_address"

# --- transport security: on with HTTPS=true, so that the plain-HTTP demo still logs in --------------------------------
HTTPS: bool = env.bool("HTTPS", default=not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
# Probes of the host ask over plain HTTP.
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "object-src": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- language, time, files ------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en-gb"
USE_I18N = False
TIME_ZONE: str = env.str("TIME_ZONE", default="UTC")
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
MEDIA_ROOT = env.path("MEDIA_ROOT", default=str(VAR_DIR / "media"))()
STORAGES: dict[str, Any] = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
# Pasted lists of ids: 100,000 lines of 20 characters, form encoding included.
DATA_UPLOAD_MAX_MEMORY_SIZE = 6 * 1024 * 1024
# Lists with a box to tick in each line, such as the users of a large organisation.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024

EMAIL_CONFIG: dict[str, Any] = env.email_url("EMAIL_URL", default="consolemail://")
vars().update(EMAIL_CONFIG)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="portal@localhost")

# --- runs: django-q2 is the alarm clock, our rows are the truth -------------------------------------------------------
Q_CLUSTER = {
    "name": "portal",
    "orm": "default",
    "workers": env.int("WORKERS", default=2),
    "queue_limit": 1,
    "bulk": 1,
    # A slice of a run ends by itself after RUN_SLICE_SECONDS; these two are only the net beneath it.
    "timeout": 90,
    "retry": 300,
    "ack_failures": True,
    "catch_up": False,
    "poll": 0.2,
    "guard_cycle": 0.5,
    "save_limit": 0,
    "recycle": 200,
    "max_rss": 400_000,
    "label": "Task queue",
}
RUN_SLICE_SECONDS: float = env.float("RUN_SLICE_SECONDS", default=15.0)
RUN_LEASE_SECONDS: float = env.float("RUN_LEASE_SECONDS", default=75.0)
# How long after an unanswered write its effect may still arrive; reading earlier could mislead.
RUN_SETTLE_SECONDS: float = env.float("RUN_SETTLE_SECONDS", default=10.0)
# kind → module with a function work(lease); named as text so that the engine knows no app.
RUN_KINDS = {
    "crm.bulk_update": "crm.bulk_update",
    "crm.restore": "crm.restore",
    "telephony.call_sync": "telephony.call_sync",
}
# Functions that some worker calls once an hour; named as text for the same reason.
HOURLY_TASKS = [
    "portal.retention.daily",
    "telephony.missed_board.follow_open",
    "telephony.spool.sweep",
    "telephony.webhook.renew_due",
]
# Set by the supervisor for the processes it starts: whose leases end when they die.
WORKER_GROUP: str = env.str("WORKER_GROUP", default="")
RETENTION_DAYS: int = env.int("RETENTION_DAYS", default=365)

# --- Zoho -----------------------------------------------------------------------------------------------------------
ZOHO_CLIENT_ID: str = env.str("ZOHO_CLIENT_ID", default="")
ZOHO_CLIENT_SECRET: str = env.str("ZOHO_CLIENT_SECRET", default="")
ZOHO_REFRESH_TOKEN: str = env.str("ZOHO_REFRESH_TOKEN", default="")
ZOHO_ACCOUNTS_URL: str = env.str("ZOHO_ACCOUNTS_URL", default="")
ZOHO_API_DOMAIN: str = env.str("ZOHO_API_DOMAIN", default="")
ZOHO_UPLOAD_URL: str = env.str("ZOHO_UPLOAD_URL", default="")
ZOHO_CONCURRENCY: int = env.int("ZOHO_CONCURRENCY", default=10)
# Zoho's limit for heavy calls in flight (writes of more than 10 records, COQL, views …): 10 in all paid editions.
ZOHO_HEAVY_CONCURRENCY: int = env.int("ZOHO_HEAVY_CONCURRENCY", default=10)
# Calls a minute over all processes, 1 to 500; 0 = no such limit. Zoho's v8 documents calls in flight and credits only.
ZOHO_PER_MINUTE: int = env.int("ZOHO_PER_MINUTE", default=0)
ZOHO_BATCH_SIZE: int = env.int("ZOHO_BATCH_SIZE", default=100)
# Share of the daily credits that runs leave to people and to other programs.
CREDIT_RESERVE_PERCENT: int = env.int("CREDIT_RESERVE_PERCENT", default=20)
# What a call costs where the organisation's prices differ: endpoint=credits;… as they stand on the home page.
try:
    ZOHO_CREDIT_PRICES: dict[str, int] = env.parse_value(env.str("ZOHO_CREDIT_PRICES", default=""), {"value": int})
except ValueError as error:
    raise ImproperlyConfigured(
        "ZOHO_CREDIT_PRICES is not readable. Write endpoint=credits pairs such as attachments.upload=2;records.update=1."
    ) from error
# Credits per rolling 24 hours; 0 = derived from the organisation's edition when it is known.
ZOHO_DAILY_CREDITS: int = env.int("ZOHO_DAILY_CREDITS", default=0)

# --- RingCentral ----------------------------------------------------------------------------------------------------
RINGCENTRAL_SERVER_URL: str = env.str("RINGCENTRAL_SERVER_URL", default="https://platform.ringcentral.com")
RINGCENTRAL_MEDIA_URL: str = env.str("RINGCENTRAL_MEDIA_URL", default="https://media.ringcentral.com")
RINGCENTRAL_CLIENT_ID: str = env.str("RINGCENTRAL_CLIENT_ID", default="")
RINGCENTRAL_CLIENT_SECRET: str = env.str("RINGCENTRAL_CLIENT_SECRET", default="")
RINGCENTRAL_JWT: str = env.str("RINGCENTRAL_JWT", default="")
# Requests a minute of each rate bucket (the documented defaults), until answers state the application's own.
RINGCENTRAL_LIGHT_PER_MINUTE: int = env.int("RINGCENTRAL_LIGHT_PER_MINUTE", default=50)
RINGCENTRAL_MEDIUM_PER_MINUTE: int = env.int("RINGCENTRAL_MEDIUM_PER_MINUTE", default=40)
RINGCENTRAL_HEAVY_PER_MINUTE: int = env.int("RINGCENTRAL_HEAVY_PER_MINUTE", default=10)
RINGCENTRAL_AUTH_PER_MINUTE: int = env.int("RINGCENTRAL_AUTH_PER_MINUTE", default=5)

# Vendors over plain HTTP on the loopback interface: the stand-in. Refused in production unless said so.
ALLOW_INSECURE_VENDORS: bool = env.bool("ALLOW_INSECURE_VENDORS", default=DEBUG)

# --- remote calls ---------------------------------------------------------------------------------------------------
REMOTE_CONNECT_TIMEOUT_S: float = env.float("REMOTE_CONNECT_TIMEOUT_S", default=5.0)
REMOTE_READ_TIMEOUT_S: float = env.float("REMOTE_READ_TIMEOUT_S", default=60.0)
REMOTE_MAX_ATTEMPTS: int = env.int("REMOTE_MAX_ATTEMPTS", default=4)
REMOTE_BACKOFF_S: float = env.float("REMOTE_BACKOFF_S", default=2.0)
# A pause longer than this is not slept through: the run waits in the queue instead.
REMOTE_MAX_PAUSE_S: float = env.float("REMOTE_MAX_PAUSE_S", default=20.0)
# Proxy for the calls to the vendors (https only); the host's own proxy variables are not followed by themselves.
OUTGOING_PROXY: str = env.str("OUTGOING_PROXY", default="")
# So many server failures in a row stop all calls of a connection; after the pause one trial call decides.
REMOTE_BREAKER_FAILURES: int = env.int("REMOTE_BREAKER_FAILURES", default=5)
REMOTE_BREAKER_OPEN_S: float = env.float("REMOTE_BREAKER_OPEN_S", default=30.0)

# --- logs -----------------------------------------------------------------------------------------------------------
LOG_FORMAT: str = env.str("LOG_FORMAT", default="text")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"()": "portal.logs.TextFormatter"},
        "json": {"()": "portal.logs.JsonFormatter"},
    },
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "json" if LOG_FORMAT == "json" else "text"}
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Django's own handlers would print the same lines again, unredacted.
        "django": {"handlers": [], "level": "INFO"},
        "django.server": {"handlers": [], "level": "INFO", "propagate": True},
        # Two lines a poll are noise; problems still come through.
        "django-q": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        "urllib3": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}

DJANGO_TABLES2_TEMPLATE = "partials/table.html"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
