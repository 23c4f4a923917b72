"""Texts that are still being written at a Kubernetes API server, such as the log of a pod that runs."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING

from retrain.kube.connection import Connection
from retrain.kube.refusals import Unreachable
from retrain.kube.requests import Request, answered

if TYPE_CHECKING:
    from aiohttp import ClientResponse


class Stream:
    """What has come of a text can be read at any time, without waiting; so one task may listen to hundreds of them.

    What nobody reads is held back: of each some 128 KiB lie here, and the rest waits at the server.
    """

    def __init__(self, answer: ClientResponse, stack: AsyncExitStack) -> None:
        self._answer = answer
        self._stack = stack

    def read(self) -> bytes:
        """What has come since the last time; empty if that is nothing.

        Raises:
            Unreachable: the connection is cut.
        """
        with _told_apart():
            return self._answer.content.read_nowait()

    async def wait(self) -> bytes:
        """What comes next; empty at the end.

        Raises:
            Unreachable: the connection is cut.
        """
        with _told_apart():
            return await self._answer.content.readany()

    @property
    def ended(self) -> bool:
        """Nothing more comes: the server has ended it, and all is read."""
        return self._answer.content.at_eof()

    async def close(self) -> None:
        """Let the connection go; also one that is still written to."""
        self._answer.close()
        await self._stack.aclose()


async def open_stream(server: Connection, request: Request) -> Stream:
    """Ask for a text without an end.

    Raises:
        NotFound, ConfigError, Transient: as for any request.
    """
    async with AsyncExitStack() as stack:
        answer = await stack.enter_async_context(answered(server, request))
        return Stream(answer, stack.pop_all())


@contextmanager
def _told_apart() -> Generator[None]:
    import aiohttp

    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"the stream was cut: {str(error) or type(error).__name__}") from error
