"""What a token looks like: `rtn_`, 43 letters and digits that were drawn by lot, 6 that check them.

The prefix and the check let a scanner of secrets know one where it should not be: `rtn_[0-9A-Za-z]{49}`.
"""

from __future__ import annotations

import re
import secrets
import string
from hashlib import sha256
from zlib import crc32

PREFIX = "rtn_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
DRAWN, CHECK = 43, 6
"""43 of 62 letters are 256 bits."""
PATTERN = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{DRAWN + CHECK}}}")


def new_token() -> str:
    """A token that nobody has."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(DRAWN))
    return f"{PREFIX}{drawn}{_check(drawn)}"


def is_token(text: str) -> bool:
    """Whether it can be one of ours: the letters that check it do."""
    if PATTERN.fullmatch(text) is None:
        return False
    drawn = text[len(PREFIX) : len(PREFIX) + DRAWN]
    return text.endswith(_check(drawn))


def digest_of(token: bytes) -> str:
    """SHA-256 of a token, in hex. It has too much chance in it for a slower hash to be of use."""
    return sha256(token).hexdigest()


def _check(drawn: str) -> str:
    number, letters = crc32(drawn.encode()), ""
    for _ in range(CHECK):
        number, place = divmod(number, len(ALPHABET))
        letters += ALPHABET[place]
    return letters
