import hashlib
from importlib import import_module

from channels.auth import get_user
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.conf import settings

# Everybody who looks at positions.
ALL_GROUP = "positions"
# From the private range (RFC 6455, 7.4.2): the page reloads, which leads to the login.
SESSION_ENDED = 4401


def group_of(user_id):
    return f"{ALL_GROUP}.{user_id}"


def digest(session_key):
    """Names a session without giving its key away: events pass through Redis."""
    return hashlib.sha256((session_key or "").encode()).hexdigest()


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
        if await self.logged_in():
            await self.send_json(event["update"])
        else:
            await self.close(SESSION_ENDED)

    async def session_ended(self, event):
        if event["session"] in (None, digest(self.scope["session"].session_key)):
            await self.close(SESSION_ENDED)

    async def logged_in(self):
        """Reads the session again: it may have expired, or its end may not have been told."""
        store = import_module(settings.SESSION_ENGINE).SessionStore
        session = store(self.scope["session"].session_key)
        return await get_user({"session": session}) == self.scope["user"]
