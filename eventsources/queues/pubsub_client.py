"""One subscription of Google Cloud Pub/Sub, by Google's library in threads of its own. Wants the extra `gcp`.

The library is imported when a source connects, in that thread: it takes seconds. Messages are pulled, not streamed: so
no more of them are in this process than are in hand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import google.auth
import grpc
from google.api_core.exceptions import (
    AlreadyExists,
    DeadlineExceeded,
    Forbidden,
    GoogleAPICallError,
    NotFound,
    ServiceUnavailable,
    Unauthenticated,
)
from google.auth.exceptions import GoogleAuthError
from google.oauth2 import service_account
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from eventsources import daemon
from retrain.errors import ConfigError, RetrainError, Transient

T = TypeVar("T")

HOST = "pubsub.googleapis.com:443"
SCOPES = ("https://www.googleapis.com/auth/pubsub",)
MOST = 500
ANSWER_S = 10.0
PULL_S = 90.0
"""Seconds that one request waits for messages at most."""

VISIBLE_S = 20
"""Seconds without a word after which Pub/Sub hands a message out again."""

OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
_DELETED_TOPIC = "_deleted-topic_"


@dataclass(frozen=True, slots=True)
class Place:
    """Which subscription, and as whom. `key`: of a service account, as JSON; empty: the machine's own login.

    `makes_topic`: whether a topic that is not there is made. `ordered`: whether a subscription that is made keeps the
    order of messages with an ordering key.
    """

    subscription: str
    project: str = ""
    topic: str = ""
    topic_project: str = ""
    key: str = field(default="", repr=False)
    endpoint: str = ""
    makes_topic: bool = False
    ordered: bool = True


@dataclass(frozen=True, slots=True)
class PubSubMessage:
    """One message. `receipt` is what acknowledges it."""

    id: str
    raw: bytes
    receipt: str
    published: datetime
    attributes: dict[str, str]
    ordering_key: str = ""


class Subscription:
    """An open subscription. Get one from `connect`."""

    def __init__(self, name: str, channel: grpc.Channel) -> None:
        self.name = name
        self._channel = channel
        self._client = SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))

    def close(self) -> None:
        """Ends what is under way, too."""
        self._channel.close()

    async def pull(self) -> list[PubSubMessage]:
        """The next messages, MOST at most; waits for one. [] where none came for long.

        Raises:
            Transient: Pub/Sub is away, or the subscription is gone. ConfigError: it says no.
        """

        def work() -> list[PubSubMessage]:
            request = {"subscription": self.name, "max_messages": MOST}
            try:
                answer: Any = self._client.pull(request=request, timeout=PULL_S, retry=None)
            except DeadlineExceeded:
                return []
            return [_message(one) for one in answer.received_messages]

        return await self._call(work, self.close)

    async def acknowledge(self, messages: Sequence[PubSubMessage]) -> None:
        receipts = [one.receipt for one in messages]
        await self._call(
            lambda: self._client.acknowledge(
                request={"subscription": self.name, "ack_ids": receipts}, timeout=ANSWER_S, retry=None
            )
        )

    async def show(self, messages: Sequence[PubSubMessage], after_s: int) -> None:
        """Let others have them in `after_s` seconds, unless they are acknowledged before; 0: at once."""
        request = {
            "subscription": self.name,
            "ack_ids": [one.receipt for one in messages],
            "ack_deadline_seconds": after_s,
        }
        await self._call(lambda: self._client.modify_ack_deadline(request=request, timeout=ANSWER_S, retry=None))

    async def delete(self) -> None:
        await self._call(
            lambda: self._client.delete_subscription(request={"subscription": self.name}, timeout=ANSWER_S, retry=None)
        )

    def ensure(self, place: Place, topic: str) -> None:
        """Make the subscription where it is not there; blocks.

        Raises:
            Transient: there is none, and no topic to make it on. ConfigError: it is another topic's.
        """
        found = self._topic_of()
        if found is None:
            if not topic:
                raise Transient(f"pubsub: there is no {self.name}; with a topic it would be made")
            self._make(place, topic)
        elif found == _DELETED_TOPIC:
            raise Transient(f"pubsub: the topic of {self.name} has been deleted")
        elif found and topic and found != topic:
            raise ConfigError(f"pubsub: {self.name} belongs to {found}, not to {topic}")

    def _topic_of(self) -> str | None:
        """The topic of the subscription; None where that is not there, empty where this login may not ask."""
        try:
            request = {"subscription": self.name}
            answer: Any = self._client.get_subscription(request=request, timeout=ANSWER_S, retry=None)
        except NotFound:
            return None
        except Forbidden:
            return ""
        return answer.topic

    def _make(self, place: Place, topic: str) -> None:
        wanted = {
            "name": self.name,
            "topic": topic,
            "ack_deadline_seconds": VISIBLE_S,
            "enable_message_ordering": place.ordered,
        }
        try:
            with suppress(AlreadyExists):  # another replica was faster
                self._client.create_subscription(request=wanted, timeout=ANSWER_S, retry=None)
        except NotFound as error:
            if not place.makes_topic:
                raise Transient(f"pubsub: there is no {topic}") from error
            publisher = PublisherClient(transport=PublisherGrpcTransport(channel=self._channel))
            with suppress(AlreadyExists):
                publisher.create_topic(request={"name": topic}, timeout=ANSWER_S, retry=None)
            with suppress(AlreadyExists):
                self._client.create_subscription(request=wanted, timeout=ANSWER_S, retry=None)

    async def _call(self, work: Callable[[], T], on_cancel: Callable[[], object] | None = None) -> T:
        def translated() -> T:
            with errors_of(self.name):
                return work()

        return await daemon.run_sync(translated, on_cancel=on_cancel)


def connect(place: Place) -> Subscription:
    """The subscription of a place, made where it is not there; blocks.

    Raises:
        Transient: Pub/Sub is away, or lacks what is needed. ConfigError: it says no, or the key is none.
    """
    # PUBSUB_EMULATOR_HOST is Google's own convention: all of its clients go there, and Argo Events with them.
    emulator = place.endpoint or os.environ.get("PUBSUB_EMULATOR_HOST", "")
    with errors_of("pubsub"):
        channel, own_project = _channel(emulator, place.key)
    project = place.project or own_project
    if not project:
        channel.close()
        raise ConfigError("pubsub: projectID is missing, and the login does not say one")
    made = Subscription(f"projects/{project}/subscriptions/{place.subscription}", channel)
    topic = f"projects/{place.topic_project or project}/topics/{place.topic}" if place.topic else ""
    try:
        with errors_of(made.name):
            made.ensure(place, topic)
    except BaseException:
        made.close()
        raise
    return made


def _channel(emulator: str, key: str) -> tuple[grpc.Channel, str]:
    """The channel, and the project that its login belongs to."""
    if emulator:
        return grpc.insecure_channel(emulator, options=OPTIONS), ""
    if key:
        credentials, project = _account(key)
    else:
        credentials, project = google.auth.default(scopes=SCOPES)
    channel = SubscriberGrpcTransport.create_channel(HOST, credentials=credentials, scopes=SCOPES, options=OPTIONS)
    return channel, project or ""


def _account(key: str) -> tuple[Any, str]:
    """A service account. Other kinds of credentials may name programs to run and addresses to call: refused."""
    try:
        told = json.loads(key)
        made = service_account.Credentials.from_service_account_info(told, scopes=SCOPES)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError("credentialSecret holds no key of a service account as JSON") from error
    return made, str(told.get("project_id") or "")


@contextmanager
def errors_of(what: str) -> Generator[None]:
    """The library's errors as ours, in plain words."""
    try:
        yield
    except GoogleAPICallError as error:
        raise _translated(what, error) from error
    except GoogleAuthError as error:
        raise Transient(f"{what}: the login does not work: {str(error)[:300]}") from error
    except (grpc.RpcError, ValueError) as error:
        # A channel that was closed under a call says so by ValueError.
        raise Transient(f"{what}: {str(error)[:300] or type(error).__name__}") from error


def _translated(what: str, error: GoogleAPICallError) -> RetrainError:
    said = str(error.message).partition("\n")[0][:300]
    if isinstance(error, NotFound):
        return Transient(f"{what}: there is none: {said}")
    if isinstance(error, (Forbidden, Unauthenticated)):
        return ConfigError(f"{what}: the login may not do that: {said}")
    if isinstance(error, (ServiceUnavailable, DeadlineExceeded)):
        return Transient(f"{what}: Pub/Sub does not answer: {said}")
    return Transient(f"{what}: {said}")


def _message(one: Any) -> PubSubMessage:
    message = one.message
    return PubSubMessage(
        id=message.message_id,
        raw=message.data,
        receipt=one.ack_id,
        published=message.publish_time,
        attributes=dict(message.attributes),
        ordering_key=message.ordering_key,
    )
