"""One queue of Azure Queue Storage. Imported when a source connects; wants the extra `azure`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.storage.queue.aio import QueueClient

from retrain.errors import ConfigError, RetrainError, Transient

PAGE = 32
"""Messages that Azure gives in one request at most."""

AT_ONCE = 16
"""Requests at the same time: messages are deleted and hidden one by one."""

DIAL_S, ANSWER_S = 5, 20
CLOSING_S = 2.0


@dataclass(slots=True)
class QueueMessage:
    """One message. `receipt` is what deletes it; a new one comes whenever it is hidden again."""

    id: str
    text: str
    receipt: str
    inserted: datetime


class Queue:
    """An open queue. Get one from `dial`."""

    def __init__(self, client: QueueClient) -> None:
        self._client = client
        self.where = f"azure queue {client.queue_name!r} of {client.account_name}"

    async def receive(self, visible_s: int) -> list[QueueMessage]:
        """The next messages, PAGE at most; [] where there are none. They are ours alone for `visible_s`."""
        pages = self._client.receive_messages(messages_per_page=PAGE, visibility_timeout=visible_s).by_page()
        async for page in pages:
            return [_message(one) async for one in page]
        return []

    async def waiting(self) -> int | None:
        """How many messages are there, about."""
        return (await self._client.get_queue_properties()).approximate_message_count

    async def delete(self, messages: Sequence[QueueMessage]) -> None:
        """Remove them. One that is not there any more, or that others have by now, is left to them."""

        async def delete(one: QueueMessage) -> None:
            try:
                await self._client.delete_message(one.id, one.receipt)
            except ResourceNotFoundError:
                return
            except HttpResponseError as error:
                if error.status_code != 400:  # PopReceiptMismatch
                    raise

        await self._each(messages, delete)

    async def show(self, messages: Sequence[QueueMessage], after_s: int) -> None:
        """Let others have them in `after_s` seconds, unless they are removed before; 0: at once."""

        async def show(one: QueueMessage) -> None:
            try:
                answer = await self._client.update_message(one.id, one.receipt, visibility_timeout=after_s)
            except HttpResponseError:
                return  # whether it is there is found out by who deletes it
            one.receipt = answer.pop_receipt or one.receipt

        await self._each(messages, show)

    async def _each(self, messages: Sequence[QueueMessage], work: Any) -> None:
        limiter = anyio.CapacityLimiter(AT_ONCE)

        async def one_of(message: QueueMessage) -> None:
            async with limiter:
                await work(message)

        try:
            async with anyio.create_task_group() as tasks:
                for message in messages:
                    tasks.start_soon(one_of, message)
        except* AzureError as errors:
            raise translated(self.where, _first(errors)) from errors


@asynccontextmanager
async def dial(connection_string: str, queue: str) -> AsyncGenerator[Queue]:
    """The queue that a connection string leads to.

    Raises:
        ConfigError: the string is none, or the login is refused. Transient: the server is away, or has no such queue.
    """
    try:
        client = QueueClient.from_connection_string(
            connection_string, queue, retry_total=0, connection_timeout=DIAL_S, read_timeout=ANSWER_S
        )
    except (ValueError, KeyError) as error:
        raise ConfigError("connectionString holds no connection string of an Azure storage account") from error
    opened = Queue(client)
    try:
        yield opened
    except AzureError as error:
        raise translated(opened.where, error) from error
    finally:
        with anyio.move_on_after(CLOSING_S, shield=True):
            await client.close()


def translated(where: str, error: BaseException) -> RetrainError:
    """An error of the library as ours, in plain words."""
    if isinstance(error, ClientAuthenticationError) or getattr(error, "status_code", 0) == 403:
        return ConfigError(f"{where}: the server refused the login")
    if isinstance(error, ResourceNotFoundError):
        return Transient(f"{where}: there is no such queue")
    if isinstance(error, HttpResponseError):
        code = getattr(error, "error_code", None) or error.reason
        return Transient(f"{where} answers {error.status_code} {code}")
    if isinstance(error, ServiceRequestError):
        return Transient(f"{where}: nobody answers: {str(error)[:200]}")
    return Transient(f"{where}: {str(error)[:300] or type(error).__name__}")


def _message(one: Any) -> QueueMessage:
    return QueueMessage(one.id, one.content, one.pop_receipt, one.inserted_on)


def _first(errors: BaseExceptionGroup[Any]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
