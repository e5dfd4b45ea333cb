from django.urls import path

from trading.consumers import TickConsumer

websocket_urlpatterns = [path("ws/ticks/", TickConsumer.as_asgi())]
