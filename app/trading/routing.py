from django.urls import path

from trading.consumers import PositionConsumer

websocket_urlpatterns = [path("ws/positions/", PositionConsumer.as_asgi())]
