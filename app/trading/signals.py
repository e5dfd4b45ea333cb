"""The end of a session is told to the pages that it opened."""

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
    """One session of the user, or all: a page whose session goes on connects again."""
    try:
        send(group_of(user_id), {"type": "session.ended", "session": session})
    except (OSError, RedisError):
        # The consumer asks for itself before it passes anything on.
        logger.exception("The pages of user %s don't hear of the end of a session", user_id)


@receiver(user_logged_out)
def logged_out(request, user, **_):
    if user is not None:
        end_sessions(user.pk, digest(request.session.session_key))


@receiver(post_delete, sender=settings.AUTH_USER_MODEL)
@receiver(post_save, sender=settings.AUTH_USER_MODEL)
def user_changed(instance, created=False, update_fields=None, **_):
    """A new password ends sessions, and so does a blocked user. A login is no such change."""
    if not created and update_fields != frozenset(["last_login"]):
        user_id = instance.pk
        on_commit(lambda: end_sessions(user_id))
