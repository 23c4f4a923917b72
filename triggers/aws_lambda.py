"""The `awsLambda` trigger: one invocation for each firing, done when the function has ended well (or is queued).

Where it is not upstream's: a function that fails (`FunctionError`) is a failure. The payload is the sensor's and stays
as it is; a function that is waited for finds the firing's id in its client context, as `custom["retrain-firing"]`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from retrain.errors import RetrainError
from retrain.events import JsonValue
from triggers.connections import Connections
from triggers.lambda_request import LambdaLogin, build_request, judge
from triggers.port import Firing, Tools, Trigger

if TYPE_CHECKING:
    from triggers.lambda_client import LambdaConnection


class LambdaTrigger:
    """Invokes functions. Get one from `open_aws_lambda`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._threads = anyio.CapacityLimiter(tools.network.lambdas)
        self.connections: Connections[LambdaConnection] = Connections(tools.network)

    async def fire(self, firing: Firing, attempt: int) -> JsonValue:
        """Invoke. The result: `{"status", "payload" (its beginning), "version", "truncated" (if cut)}`.

        Raises:
            Transient: AWS is away or busy, or the function failed.
            Permanent: the action is no invocation, or AWS refuses it.
        """
        del attempt  # a retry is the same invocation
        request = build_request(firing, self._tools.secrets)
        try:
            async with self.connections.use(request.login, lambda: self._dial(request.login)) as connection:
                answer = await connection.invoke(request.invocation)
            result = judge(answer, request.allow)
        except RetrainError as error:
            error.args = (request.redact(str(error)),)
            raise
        result["payload"] = request.redact(str(result["payload"]))
        return result

    async def _dial(self, login: LambdaLogin) -> LambdaConnection:
        # The library costs a good part of a second, and most platforms have no such trigger.
        module = await anyio.to_thread.run_sync(_library)
        return await module.dial(login, self._tools.network, self._threads)


def _library():
    from triggers import lambda_client

    return lambda_client


@asynccontextmanager
async def open_aws_lambda(tools: Tools) -> AsyncGenerator[Trigger]:
    """Hold the clients of all `awsLambda` triggers while the platform runs."""
    trigger = LambdaTrigger(tools)
    try:
        yield trigger
    finally:
        await trigger.connections.aclose()
