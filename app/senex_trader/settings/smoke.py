"""Production's, with a slow page and a slow task: chosen by name, as tests/smoke.toml does."""

from senex_trader.settings.production import *

ROOT_URLCONF = "senex_trader.smoke"
CELERY_IMPORTS = ["senex_trader.smoke"]
