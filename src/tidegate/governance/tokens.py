"""Tokens: made of 256 random bits, shown once, kept only as their SHA-256."""

import hashlib
import hmac
import re
import secrets
from typing import Final

PREFIX: Final = "tg_"

_TOKEN = re.compile(r"tg_[A-Za-z0-9_-]{43}\Z")


def new_token() -> str:
    """A new token: ``tg_`` and 43 characters that are safe in an address."""
    return PREFIX + secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Whether the text has the form of a token."""
    return bool(_TOKEN.match(text))


def digest_of(token: str) -> str:
    """What is kept of a token. It needs no salt and no slow hash: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode()).hexdigest()


def same(first: str, second: str) -> bool:
    """Whether two digests are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(first, second)
