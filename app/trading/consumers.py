from channels.generic.websocket import AsyncJsonWebsocketConsumer

# Everybody who looks at positions.
ALL_GROUP = "positions"


def group_of(user_id):
    return f"{ALL_GROUP}.{user_id}"


class PositionConsumer(AsyncJsonWebsocketConsumer):
    """Passes marks on to one browser: the time of each, and the numbers of its user alone."""

    async def connect(self):
        user = self.scope["user"]
        if not user.is_authenticated:
            # Before it is accepted, this is a 403.
            await self.close()
            return
        self.groups = [ALL_GROUP, group_of(user.pk)]
        for group in self.groups:
            await self.channel_layer.group_add(group, self.channel_name)
        await self.accept()

    async def receive(self, **_):
        """A browser has nothing to say here."""

    async def positions_marked(self, event):
        await self.send_json(event["update"])
