"""Pieces of Django settings."""

SQLITE = (
    "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': 'database'}}\n"
    "INSTALLED_APPS = ['django.contrib.contenttypes']\n"
)


def postgresql(port):
    return (
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql', 'NAME': 'shop',"
        f" 'USER': 'shop', 'PASSWORD': 'hunter2', 'HOST': '127.0.0.1', 'PORT': '{port}'}}}}\n"
    )


def redis(port, name="REDIS_URL"):
    return f"{name} = 'redis://:hunter2@127.0.0.1:{port}/3'\n"
