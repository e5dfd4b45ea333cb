import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import models


def cipher():
    """Any text serves as FIELD_ENCRYPTION_KEY: the key that Fernet wants is derived from it."""
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"senex_trader fields")
    key = derivation.derive(settings.FIELD_ENCRYPTION_KEY.encode())
    return Fernet(base64.urlsafe_b64encode(key))


class EncryptedTextField(models.TextField):
    """Text that is encrypted in the database. It can't be searched: each time it looks new."""

    def get_db_prep_save(self, value, connection):
        if value is not None:
            value = cipher().encrypt(str(value).encode()).decode()
        return super().get_db_prep_save(value, connection)

    def from_db_value(self, value, expression, connection):
        if value is None:
            return None
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken:
            raise ValueError("The value was encrypted with another FIELD_ENCRYPTION_KEY") from None
