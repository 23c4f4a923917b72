"""One queue of SQS, by boto3 in threads of its own. Imported when a source connects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from eventsources import daemon
from eventsources.queues.sqs_message import SqsMessage, message_of
from retrain.errors import ConfigError, RetrainError, Transient

T = TypeVar("T")

MOST = 10
"""Messages that SQS takes or gives in one request."""

LONGEST_S = 20
DIAL_S, ANSWER_S = 5, LONGEST_S + 10
ROLE_S = 3600
EARLY = timedelta(minutes=5)
"""A role is assumed again so long before its keys end."""

NO_QUEUE = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
AGAIN = ("Throttl", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure", "InternalError", "OverLimit")


@dataclass(frozen=True, slots=True)
class Login:
    """Which queue, and as whom. `account`: the queue's, if it is another one's. Empty keys: the machine's own."""

    queue: str
    region: str
    account: str = ""
    endpoint: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    role_arn: str = ""


class Queue:
    """An open queue. Get one from `connect`."""

    def __init__(self, login: Login, client: Any, url: str, until: datetime | None) -> None:
        self._login = login
        self._client = client
        self._url = url
        self._until = until

    @property
    def lost(self) -> bool:
        """Whether the keys of its role end soon."""
        return self._until is not None and datetime.now(UTC) > self._until - EARLY

    @property
    def fifo(self) -> bool:
        return self._login.queue.endswith(".fifo")

    def close(self) -> None:
        self._client.close()

    async def receive(self, wait_s: int, visible_s: int) -> list[SqsMessage]:
        """The next messages, MOST at most; waits up to `wait_s` for one. They are ours alone for `visible_s`.

        When it is cancelled, what comes nevertheless is put back.
        """
        left = threading.Event()

        def work() -> list[SqsMessage]:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=MOST,
                WaitTimeSeconds=wait_s,
                VisibilityTimeout=visible_s,
                AttributeNames=["SentTimestamp", "MessageGroupId"],
                MessageAttributeNames=["All"],
            )
            messages = [message_of(one) for one in answer.get("Messages", ())]
            if messages and left.is_set():
                self._show(messages, 0)
            return messages

        return await self._call(work, left.set)

    async def delete(self, messages: Sequence[SqsMessage]) -> int:
        """Remove them; how many SQS has refused to remove, which then come again."""

        def work() -> int:
            refused = 0
            for part in _parts(messages):
                entries = [{"Id": str(index), "ReceiptHandle": one.receipt} for index, one in enumerate(part)]
                answer = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)
                refused += len(answer.get("Failed", ()))
            return refused

        return await self._call(work)

    async def show(self, messages: Sequence[SqsMessage], after_s: int) -> None:
        """Let others have them in `after_s` seconds, unless they are removed before; 0: at once."""
        await self._call(lambda: self._show(messages, after_s))

    async def waiting(self) -> int | None:
        """How many messages wait, about; None where this login may not know."""

        def work() -> int:
            name = "ApproximateNumberOfMessages"
            answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
            return int(answer["Attributes"][name])

        try:
            return await self._call(work)
        except ConfigError:
            return None

    def _show(self, messages: Sequence[SqsMessage], after_s: int) -> None:
        for part in _parts(messages):
            entries: list[dict[str, Any]] = [
                {"Id": str(index), "ReceiptHandle": one.receipt, "VisibilityTimeout": after_s}
                for index, one in enumerate(part)
            ]
            self._client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)

    async def _call(self, work: Callable[[], T], on_cancel: Callable[[], object] | None = None) -> T:
        def translated() -> T:
            with errors_of(self._login):
                return work()

        return await daemon.run_sync(translated, on_cancel=on_cancel)


def connect(login: Login) -> Queue:
    """The queue of a login; blocks.

    Raises:
        Transient: SQS is away, or has no such queue. ConfigError: it says no.
    """
    with errors_of(login):
        keys, until = _keys(login)
        client = _client("sqs", login, keys)
        account = {"QueueOwnerAWSAccountId": login.account} if login.account else {}
        try:
            url = client.get_queue_url(QueueName=login.queue, **account)["QueueUrl"]
        except BaseException:
            client.close()
            raise
        return Queue(login, client, url, until)


def _keys(login: Login) -> tuple[dict[str, str], datetime | None]:
    """What the client signs with, and until when; a role is assumed now."""
    keys: dict[str, str] = {}
    if login.access_key:
        keys = {"aws_access_key_id": login.access_key, "aws_secret_access_key": login.secret_key}
    if login.session_token:
        keys["aws_session_token"] = login.session_token
    if not login.role_arn:
        return keys, None
    sts = _client("sts", login, keys)
    try:
        answer = sts.assume_role(RoleArn=login.role_arn, RoleSessionName="retrain", DurationSeconds=ROLE_S)
    finally:
        sts.close()
    given = answer["Credentials"]
    taken = {
        "aws_access_key_id": given["AccessKeyId"],
        "aws_secret_access_key": given["SecretAccessKey"],
        "aws_session_token": given["SessionToken"],
    }
    return taken, given["Expiration"]


def _client(service: str, login: Login, keys: dict[str, str]) -> Any:
    # One try: whoever reads here tries again, and says so.
    config = Config(connect_timeout=DIAL_S, read_timeout=ANSWER_S, retries={"total_max_attempts": 1})
    session: Any = Session(region_name=login.region, **keys)
    return session.client(service, endpoint_url=login.endpoint or None, config=config)


@contextmanager
def errors_of(login: Login) -> Generator[None]:
    """The library's errors as ours, without what they may quote of a request."""
    try:
        yield
    except ClientError as error:
        raise _refused(login, error) from error
    except EndpointConnectionError as error:
        raise Transient(f"sqs {login.endpoint or login.region}: nobody answers") from error
    except (BotoCoreError, OSError, ValueError) as error:
        said = str(error)[:300] or type(error).__name__
        raise Transient(f"sqs {login.endpoint or login.region}: {said}") from error


def _refused(login: Login, error: ClientError) -> RetrainError:
    told = error.response.get("Error", {})
    code, text = str(told.get("Code", "?")), str(told.get("Message", ""))[:200]
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
    if code in NO_QUEUE:
        return Transient(f"sqs: there is no queue {login.queue!r} in {login.region}, or it may not be seen")
    if status >= 500 or status == 429 or code.startswith(AGAIN):
        return Transient(f"sqs answers {status} {code}: {text}")
    return ConfigError(f"sqs says no, {status} {code}: {text}")


def _parts(messages: Sequence[SqsMessage]) -> list[Sequence[SqsMessage]]:
    return [messages[start : start + MOST] for start in range(0, len(messages), MOST)]
