"""Secrets of users: encrypted while they are at rest, hidden wherever they are shown."""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """None of the keys opens it. There is nothing of the secret in the message."""

    def __init__(self):
        super().__init__("The secret was encrypted with another FIELD_ENCRYPTION_KEY")


def cipher():
    """FIELD_ENCRYPTION_KEY is one Fernet key or several with commas: the first one encrypts.

    Raises ValueError, without the value, where one of them is no such key.
    """
    names = [name.strip() for name in settings.FIELD_ENCRYPTION_KEY.split(",")]
    keys = []
    for number, name in enumerate(names, start=1):
        try:
            keys.append(Fernet(name))
        except ValueError:
            which = f"Key {number} of {len(names)}" if len(names) > 1 else "It"
            raise ValueError(f"{which} is no Fernet key: 32 bytes in urlsafe base64") from None
    return MultiFernet(keys)


class Secret:
    """A text that only `reveal` shows: neither a page, nor a log, nor a traceback does.

    It holds the encrypted form alone, so that what lists secrets never opens one.
    """

    def __init__(self, encrypted):
        self.encrypted = encrypted

    @classmethod
    def hide(cls, text):
        return cls(cipher().encrypt(text.encode()).decode())

    def reveal(self):
        if not self.encrypted:
            # A row that was made before it had a secret.
            return ""
        try:
            return cipher().decrypt(self.encrypted).decode()
        except InvalidToken:
            raise SecretUnreadable from None

    # A template calls no function that says so; `{{ secret.reveal }}` prints nothing.
    reveal.alters_data = True

    def rotated(self):
        """The same secret, encrypted with the first key."""
        if not self.encrypted:
            return self
        try:
            return Secret(cipher().rotate(self.encrypted).decode())
        except InvalidToken:
            raise SecretUnreadable from None

    def __repr__(self):
        return "***"
