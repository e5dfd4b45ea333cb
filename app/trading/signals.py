"""Tell open pages when their session ends."""

import logging

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.db.models.signals import post_delete, post_save
from django.db.transaction import on_commit
from django.dispatch import receiver
from redis.exceptions import RedisError

from trading.consumers import digest, group_of
from trading.live import send

logger = logging.getLogger(__name__)


def end_sessions(user_id, session=None):
    """One session of the user, or all of them: a page that is still logged in reconnects."""
    try:
        send(group_of(user_id), {"type": "session.ended", "session": session})
    except (OSError, RedisError):
        # The consumer checks the session anyway before it sends anything.
        logger.exception("Pages of user %s aren't told that their session ended", user_id)


@receiver(user_logged_out)
def logged_out(request, user, **_):
    if user is not None:
        end_sessions(user.pk, digest(request.session.session_key))


@receiver(post_delete, sender=settings.AUTH_USER_MODEL)
@receiver(post_save, sender=settings.AUTH_USER_MODEL)
def user_changed(instance, created=False, update_fields=None, **_):
    """A new password or a blocked user ends sessions; a login, which saves its time, doesn't."""
    if not created and update_fields != frozenset(["last_login"]):
        user_id = instance.pk
        on_commit(lambda: end_sessions(user_id))
