"""Runs an SQS source: messages, safe on the bus, then deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anyio.abc import TaskStatus

from eventsources.port import SourceContext, SourceState
from eventsources.queues import sqs_reader
from eventsources.queues.sqs import LONGEST_S, Sqs
from eventsources.queues.sqs_message import SqsMessage, data_of
from eventsources.trying import keep_trying
from retrain.errors import Permanent
from retrain.events import Event
from retrain.manifests.argo import Shape

if TYPE_CHECKING:
    from eventsources.queues.sqs_client import Login

ARGO_WAIT_S = 3


class SqsSource:
    """One entry of `spec.sqs`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - it names no thing
        assert isinstance(spec, Sqs)
        self._spec = spec
        self._context = context
        self._status = context.status

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._receive)

    async def _receive(self) -> None:
        wait_s = self._spec.wait_time_seconds or (LONGEST_S if self._context.ours else ARGO_WAIT_S)
        await sqs_reader.read(self._login, self._status, self._take, wait_s=wait_s)

    async def _take(self, messages: Sequence[SqsMessage]) -> Sequence[SqsMessage]:
        """Make them safe. What cannot be read is a dead letter, or with `dlq` the queue's own affair."""
        events: list[Event] = []
        left: set[str] = set()
        for message in messages:
            try:
                data = data_of(message, self._spec.json_body, ours=self._context.ours, unwraps=self._spec.unwrap)
            except Permanent as error:
                if self._spec.dlq:
                    left.add(message.receipt)
                    self._status.failed(f"message {message.id} stays in the queue: {error}")
                else:
                    await self._context.bury(message.id, message.body.encode("utf-8", "surrogatepass"), str(error))
                continue
            if data is not None:
                time = message.sent if self._context.ours else None
                events.append(self._context.event(message.id, data, time=time))
        await self._context.deliver(events)
        return [one for one in messages if one.receipt not in left]

    def _login(self) -> Login:
        """Where to connect and as whom.

        Raises:
            NotFound: a secret is not there yet.
        """
        from eventsources.queues.sqs_client import Login

        spec, read = self._spec, self._context.read
        return Login(
            queue=spec.queue,
            region=spec.region,
            account=spec.queue_account_id,
            endpoint=spec.endpoint,
            access_key=read(spec.access_key),
            secret_key=read(spec.secret_key),
            session_token=read(spec.session_token),
            role_arn=spec.role_arn,
        )
