from django.apps import AppConfig


class TradingConfig(AppConfig):
    name = "trading"

    def ready(self):
        # Connects them.
        from trading import signals  # noqa: F401
