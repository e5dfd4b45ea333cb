from django.apps import AppConfig


class SenexTraderConfig(AppConfig):
    name = "senex_trader"

    def ready(self):
        # Registers them.
        from senex_trader import checks  # noqa: F401
