"""The body of a server's answer as a file: read as it comes, with the errors of whoever asked for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

READ = 256 * 1024


class _Body(RawIOBase):
    def __init__(self, answer: BaseHTTPResponse, told: Callable[[], AbstractContextManager[None]]) -> None:
        self._answer, self._told = answer, told

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._told():
            part = self._answer.read(len(buffer))
        buffer[: len(part)] = part
        return len(part)

    def close(self) -> None:
        if not self.closed:
            self._answer.close()
            self._answer.release_conn()
        super().close()


def body_of(answer: BaseHTTPResponse, told: Callable[[], AbstractContextManager[None]]) -> BinaryIO:
    """The body of an answer, of which nothing is read yet. `told` makes our errors of the client's: a connection may be
    cut in the midst."""
    return cast("BinaryIO", BufferedReader(_Body(answer, told), READ))
