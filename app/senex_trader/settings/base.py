"""What all settings share. Values come from the environment; services are only named here."""

import os
from datetime import timedelta
from pathlib import Path

from celery.schedules import crontab

from senex_trader.environment import number, text, words

BASE_DIR = Path(__file__).resolve().parents[2]

# Empty means missing: production refuses that, the other settings bring their own.
SECRET_KEY = text("SECRET_KEY")
FIELD_ENCRYPTION_KEY = text("FIELD_ENCRYPTION_KEY")

DEBUG = False
DEVELOPMENT = False
ALLOWED_HOSTS = words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "axes",
    "channels",
    "senex_trader",
    "accounts",
    "trading",
]

MIDDLEWARE = [
    # First: see the class.
    "senex_trader.health.HealthMiddleware",
    "senex_trader.middleware.number_requests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "senex_trader.middleware.content_security_policy",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "senex_trader.urls"
ASGI_APPLICATION = "senex_trader.asgi.application"
WSGI_APPLICATION = "senex_trader.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("DB_NAME") or "senex_trader",
        "USER": os.environ.get("DB_USER") or "senex_trader",
        "PASSWORD": text("DB_PASSWORD"),
        "HOST": os.environ.get("DB_HOST") or "postgres",
        "PORT": os.environ.get("DB_PORT") or "5432",
        # A host that swallows packets must not hold a request or a task for minutes.
        "OPTIONS": {"connect_timeout": 5, "tcp_user_timeout": 20_000},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = text("REDIS_URL", "redis://redis:6379/0")
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL]},
    }
}

# Seconds between two marks of all open positions.
MARK_INTERVAL = number("MARK_INTERVAL", 30, least=1)
# For `manage.py demo`.
DEMO_PASSWORD = text("DEMO_PASSWORD")

CELERY_BROKER_URL = REDIS_URL
CELERY_RESULT_BACKEND = REDIS_URL
CELERY_RESULT_EXPIRES = 3600
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_ROUTES = {
    "accounts.tasks.*": {"queue": "accounts"},
    "trading.tasks.*": {"queue": "trading"},
}
CELERY_BEAT_SCHEDULE = {
    # It expires, so that a stopped worker doesn't come back to a pile of old marks.
    "mark-to-market": {
        "task": "trading.tasks.mark_to_market",
        "schedule": MARK_INTERVAL,
        "options": {"expires": MARK_INTERVAL},
    },
    "clear-sessions": {
        "task": "senex_trader.tasks.clear_sessions",
        "schedule": crontab(hour=3, minute=30),
        "options": {"expires": 3600},
    },
}
# No task is lost. A message leaves the queue when its task is done, and goes back when the worker
# dies under it; so every task may run twice, and must not mind (redelivery.py gives up a task
# that kills its worker each time). A worker holds no messages but
# those it works on. At SIGTERM it finishes them, within STOP_GRACE_PERIOD if that is set;
# started otherwise, SIGQUIT gives it this many seconds. What is left goes back.
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 1
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# After a SIGKILL nobody puts them back: Redis does, later than any task may take.
CELERY_TASK_TIME_LIMIT = 300
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 600}
CELERY_TIMEZONE = "UTC"

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
# Guesses are counted by user and address: by user alone, a stranger could lock a user out.
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "accounts.throttling.client_address"
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
AXES_VERBOSE = False

# Only the console: the container's engine keeps the logs, and the file system may be read-only.
# With LOG_FORMAT=json an object a line, with what the caller has put into `extra`, and a traceback
# in one field.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"belonging": {"()": "senex_trader.logs.Belonging"}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "fmt": ["levelname", "name", "message"],
            "timestamp": "time",
            "rename_fields": {"levelname": "level", "name": "logger", "exc_info": "exception"},
            "json_ensure_ascii": False,
        },
        "text": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": "json" if os.environ.get("LOG_FORMAT") == "json" else "text",
            "filters": ["belonging"],
        }
    },
    "root": {"handlers": ["console"], "level": "INFO"},
    # Django's own handlers would write everything a second time.
    "loggers": {"django": {"handlers": [], "level": "INFO", "propagate": True}},
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "accounts:login"
LOGIN_REDIRECT_URL = "trading:index"
LOGOUT_REDIRECT_URL = "accounts:login"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_TZ = True

# What people upload, on a volume. The next container may be another user of the same group.
MEDIA_ROOT = BASE_DIR / "media"
MEDIA_STORAGE = {
    "BACKEND": "django.core.files.storage.FileSystemStorage",
    "OPTIONS": {"file_permissions_mode": 0o640, "directory_permissions_mode": 0o775},
}

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
# File names carry a hash of the content, so browsers may keep them for ever.
MANIFEST_STATIC_STORAGES = {
    "default": MEDIA_STORAGE,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
# Without `collectstatic`, which only the image has behind it.
STORAGES = {
    "default": MEDIA_STORAGE,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
