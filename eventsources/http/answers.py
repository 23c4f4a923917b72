"""What a request is answered with, and the one way to say no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

JSON = b"application/json"
TEXT = b"text/plain; charset=utf-8"
CLOSE = (b"connection", b"close")
RETRY = (b"retry-after", b"1")
"""Seconds after which whatever was lacking may be there."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    content: bytes = b""
    content_type: bytes = TEXT
    headers: Sequence[tuple[bytes, bytes]] = ()


class Refusal(Exception):
    """A request that ends here, with this status and explanation. The explanation goes to the client: no secrets."""

    def __init__(self, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers

    def reply(self) -> Reply:
        """As an answer."""
        return Reply(self.status, orjson.dumps({"error": self.text}), JSON, self.headers)


def unauthorized(text: str, scheme: bytes = b"") -> Refusal:
    """401, and the end of the connection: whoever guesses has to connect again for each guess."""
    return Refusal(401, text, *(((b"www-authenticate", scheme),) if scheme else ()), CLOSE)


def json_reply(status: int, body: object) -> Reply:
    """An answer in JSON."""
    return Reply(status, orjson.dumps(body), JSON)
