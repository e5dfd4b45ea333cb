from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer


def send(group, event):
    """To the open pages of a group, from code that isn't asynchronous."""
    async_to_sync(get_channel_layer().group_send)(group, event)
