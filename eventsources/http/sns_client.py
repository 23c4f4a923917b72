"""Amazon SNS' API, as far as subscriptions need it, by boto3 in threads of its own."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from eventsources.daemon import run_sync
from eventsources.http.sns import Sns
from eventsources.port import SourceContext
from retrain.errors import ConfigError, NotFound, Transient

TIMEOUT = {"connect_timeout": 5, "read_timeout": 10, "retries": {"total_max_attempts": 1}}
PENDING = "pending confirmation"


async def subscribe(spec: Sns, url: str, context: SourceContext) -> bool:
    """Let the topic be told at `url`; the same again changes nothing. True if it needs no confirmation any more.

    Raises:
        NotFound: a secret, or the topic, is not there. ConfigError: AWS says no. Transient: it cannot be reached.
    """
    keys = context.read(spec.access_key), context.read(spec.secret_key)

    def work() -> bool:
        with _translated(spec):
            client = _client(spec, *keys)
            protocol = "https" if url.startswith("https://") else "http"
            answer = client.subscribe(
                TopicArn=spec.topic_arn, Protocol=protocol, Endpoint=url, ReturnSubscriptionArn=False
            )
        return answer.get("SubscriptionArn", PENDING) != PENDING

    return await run_sync(work)


async def confirm(spec: Sns, token: str) -> None:
    """Confirm a subscription; the token is all the proof that this takes.

    Raises:
        ConfigError: the token is none of this topic's. Transient: AWS cannot be reached.
    """

    def work() -> None:
        with _translated(spec):
            client: Any = boto3.client(
                "sns",
                region_name=spec.region,
                endpoint_url=spec.endpoint or None,
                config=Config(**TIMEOUT, signature_version=UNSIGNED),
            )
            client.confirm_subscription(TopicArn=spec.topic_arn, Token=token)

    await run_sync(work)


def _client(spec: Sns, access: str, secret: str) -> Any:
    keys = {"aws_access_key_id": access, "aws_secret_access_key": secret} if access else {}
    endpoint = spec.endpoint or None
    if spec.role_arn:
        sts: Any = boto3.client("sts", region_name=spec.region, endpoint_url=endpoint, config=Config(**TIMEOUT), **keys)
        given = sts.assume_role(RoleArn=spec.role_arn, RoleSessionName="retrain")["Credentials"]
        keys = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
    return boto3.client("sns", region_name=spec.region, endpoint_url=endpoint, config=Config(**TIMEOUT), **keys)


@contextmanager
def _translated(spec: Sns) -> Generator[None]:
    """AWS' errors as ours, without what they may quote of the request."""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        code, text = said.get("Code", "?"), str(said.get("Message", ""))[:200]
        if code in ("NotFound", "NotFoundException"):
            raise NotFound(f"AWS has no topic {spec.topic_arn}") from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status >= 500 or "Throttl" in code:
            raise Transient(f"AWS SNS answers {code}: {text}") from error
        raise ConfigError(f"AWS SNS says no, {code}: {text}") from error
    except BotoCoreError as error:
        raise Transient(f"AWS SNS cannot be asked: {error}") from error
