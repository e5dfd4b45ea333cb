import logging

from celery import shared_task
from django.utils import timezone

from accounts.models import BrokerCredential
from senex_trader.encryption import SecretUnreadable
from trading import broker

logger = logging.getLogger(__name__)


@shared_task(autoretry_for=(broker.Unavailable,), retry_backoff=True, max_retries=5)
def refresh_balance(credential_id):
    """Saves what the broker says the account holds; nothing if the credential is gone.

    Returns nothing, because the log and Redis would keep the balance.
    """
    credential = BrokerCredential.objects.filter(pk=credential_id).first()
    if credential is None:
        return
    balance = broker.balance(credential.secret)
    BrokerCredential.objects.filter(pk=credential_id).update(
        balance=balance, balance_at=timezone.now()
    )


@shared_task
def find_unreadable_secrets():
    """The credentials whose secret the present FIELD_ENCRYPTION_KEY doesn't open."""
    unreadable = []
    for credential in BrokerCredential.objects.order_by("pk").iterator():
        try:
            credential.secret.reveal()
        except SecretUnreadable:
            logger.warning("The secret of credential %s can't be read", credential.pk)
            unreadable.append(credential.pk)
    return unreadable
