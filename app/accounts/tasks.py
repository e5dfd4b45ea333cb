import logging

from celery import shared_task

from accounts.models import BrokerAccount

logger = logging.getLogger(__name__)


@shared_task
def find_unreadable_tokens():
    """The accounts whose token the present FIELD_ENCRYPTION_KEY doesn't open."""
    unreadable = []
    for key in BrokerAccount.objects.order_by("pk").values_list("pk", flat=True):
        try:
            BrokerAccount.objects.get(pk=key)
        except ValueError:
            logger.warning("The token of account %s can't be read", key)
            unreadable.append(key)
    return unreadable
