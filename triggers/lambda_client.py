"""One client of AWS Lambda, for the `awsLambda` trigger. Imported when the first such firing acts.

The library blocks, so it is called in worker threads; its client may be used by several at once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    InvalidRegionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from retrain.errors import Permanent, Transient
from triggers.lambda_request import Invocation, LambdaAnswer, LambdaLogin
from triggers.settings import NetworkSettings

ROLE_S = 3600
"""Seconds that the keys of an assumed role are asked for."""
EARLY = timedelta(minutes=5)
"""A role is assumed again so long before its keys end."""
MAX_ANSWER = 6 * 1024 * 1024

FINAL = (InvalidRegionError, NoCredentialsError, ParamValidationError, PartialCredentialsError)
AGAIN = frozenset({"TooManyRequestsException", "ThrottlingException", "RequestLimitExceeded", "ServiceException"})
AGAIN_TOO = frozenset({"ResourceNotReadyException", "ResourceConflictException", "RequestTimeout", "SlowDown"})
"""Errors that pass though AWS calls some of them the caller's fault: too often, or a function that is being changed."""


class LambdaConnection:
    """Invokes functions. Get one from `dial`."""

    def __init__(self, client: Any, login: LambdaLogin, until: datetime | None, threads: anyio.CapacityLimiter) -> None:
        self._client = client
        self._login = login
        self._until = until
        self._threads = threads

    @property
    def lost(self) -> bool:
        return self._until is not None and datetime.now(UTC) > self._until - EARLY

    async def aclose(self) -> None:
        await anyio.to_thread.run_sync(self._client.close)

    async def invoke(self, invocation: Invocation) -> LambdaAnswer:
        """Call the function, and wait for it where it is not only queued.

        Raises:
            Transient: AWS is away or busy.
            Permanent: there is no such function, or the login may not call it.
        """
        try:
            return await anyio.to_thread.run_sync(
                self._invoke, invocation, limiter=self._threads, abandon_on_cancel=True
            )
        except (ClientError, BotoCoreError, HTTPClientError, OSError) as error:
            raise _translated(error) from error

    def _invoke(self, invocation: Invocation) -> LambdaAnswer:
        answer = self._client.invoke(
            FunctionName=invocation.function,
            InvocationType=invocation.kind,
            ClientContext=invocation.context,
            Payload=invocation.payload,
        )
        body = answer.get("Payload")
        try:
            payload = body.read(MAX_ANSWER) if body is not None else b""
        finally:
            if body is not None:
                body.close()
        return LambdaAnswer(
            status=int(answer.get("StatusCode", 0)),
            error=str(answer.get("FunctionError") or ""),
            payload=payload,
            version=str(answer.get("ExecutedVersion") or ""),
        )


async def dial(login: LambdaLogin, settings: NetworkSettings, threads: anyio.CapacityLimiter) -> LambdaConnection:
    """A client with this login; a role is assumed now.

    Raises:
        Transient: AWS is away.
        Permanent: the login or the region is none, or may not have the role.
    """
    try:
        # Not one of `threads`: they may all be waiting for functions.
        client, until = await anyio.to_thread.run_sync(_connect, login, settings, abandon_on_cancel=True)
    except (ClientError, BotoCoreError, HTTPClientError, OSError, ValueError) as error:
        raise _translated(error) from error
    return LambdaConnection(client, login, until, threads)


def _connect(login: LambdaLogin, settings: NetworkSettings) -> tuple[Any, datetime | None]:
    config = Config(
        connect_timeout=settings.dial_s,
        read_timeout=settings.lambda_s,
        max_pool_connections=settings.lambdas,
        # One try: the dispatcher tries again, and writes it down.
        retries={"total_max_attempts": 1},
        tcp_keepalive=True,  # a function may take minutes without a word
    )
    session = Session(
        aws_access_key_id=login.access_key or None,
        aws_secret_access_key=login.secret_key or None,
        region_name=login.region,
    )
    where: dict[str, Any] = {"config": config, "endpoint_url": settings.aws_url}
    if not login.role:
        return session.client("lambda", **where), None
    sts = session.client("sts", **where)
    try:
        keys = sts.assume_role(RoleArn=login.role, RoleSessionName="retrain", DurationSeconds=ROLE_S)["Credentials"]
    finally:
        sts.close()
    client = session.client(
        "lambda",
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
        **where,
    )
    return client, keys["Expiration"]


def _translated(error: Exception) -> Permanent | Transient:
    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
        code = told.get("Code", "")
        said = f"awsLambda: AWS answered {status} {code}: {told.get('Message', '')[:200]}"
        again = status >= 500 or status == 429 or code in AGAIN | AGAIN_TOO
        return Transient(said) if again else Permanent(said)
    said = f"awsLambda: {str(error)[:300] or type(error).__name__}"
    return Permanent(said) if isinstance(error, (*FINAL, ValueError)) else Transient(said)
