from channels.generic.websocket import AsyncJsonWebsocketConsumer

TICKS_GROUP = "ticks"


class TickConsumer(AsyncJsonWebsocketConsumer):
    """Passes the ticks of the group on to one browser."""

    groups = [TICKS_GROUP]

    async def connect(self):
        if self.scope["user"].is_authenticated:
            await self.accept()
        else:
            await self.close()

    async def tick(self, event):
        await self.send_json(event["tick"])
