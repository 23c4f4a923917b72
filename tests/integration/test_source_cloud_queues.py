"""The sources redisStream, sqs, pubSub and gcs against real servers: what the contract suite does not ask."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus
from uuid import uuid4

import anyio
import anyio.to_thread
import boto3
import grpc
import pytest
from google.api_core.exceptions import NotFound
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport
from redis import Redis

from eventsources.queues import redis_stream_source, sqs_reader
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.outside.gcs import Outside as Objects
from tests.contract.source_world import ARGO, OURS, Flaky, Platform, Secrets, document, state, until
from tests.servers import brokers
from tests.servers.certificates import Authority
from tests.servers.launch import free_port
from tests.servers.program import Program

pytestmark = pytest.mark.integration
KEYS = {"accessKey": {"name": "aws", "key": "access"}, "secretKey": {"name": "aws", "key": "secret"}}
PROJECT = "retrain-tests"


@pytest.fixture
def flaky(memory_bus: MemoryBus) -> Flaky:
    return Flaky(memory_bus)


@pytest.fixture
def platform(flaky: Flaky, store: Store) -> Platform:
    bus: Any = flaky
    return Platform(bus, store, Secrets({("aws", "access"): "key-of-tests", ("aws", "secret"): "secret-of-tests"}))


@pytest.fixture
def name() -> str:
    return f"t-{uuid4().hex[:12]}"


def values(records: Any) -> list[str]:
    return [record.event.data["values"]["n"] for record in records]


# --- redis streams ---------------------------------------------------------------------------------------------------


@pytest.fixture
def redis(redis_server: Program) -> Iterator[Redis]:
    with Redis(host="127.0.0.1", port=redis_server.port) as client:
        yield client


def stream(server: Program, *names: str, **more: Any) -> Any:
    return document(redisStream={"thing": {"hostAddress": server.address, "streams": list(names), **more}})


async def test_what_another_consumer_has_left_behind_is_claimed(
    platform: Platform, redis_server: Program, redis: Redis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_stream_source, "CLAIM_S", 0)
    redis.xgroup_create(name, "argo-events-cg", "0", mkstream=True)
    redis.xadd(name, {"n": "left"})
    redis.xreadgroup("argo-events-cg", "argo-events-worker", {name: ">"})
    async with platform.running(stream(redis_server, name)) as host:
        await state(host, "listening")
        assert values(await platform.records(1)) == ["left"]
        await until(lambda: redis.xpending(name, "argo-events-cg")["pending"] == 0)


async def test_a_group_that_vanishes_is_made_again_and_nothing_is_told_twice(
    platform: Platform, redis_server: Program, redis: Redis, name: str
) -> None:
    async with platform.running(stream(redis_server, name, f"{name}-b", consumerGroup="g")) as host:
        await state(host, "listening")
        redis.xadd(name, {"n": "1"})
        await platform.records(1)
        await until(lambda: redis.xpending(name, "g")["pending"] == 0)
        redis.xgroup_destroy(name, "g")
        redis.xadd(name, {"n": "2"})
        await platform.records(2)
        redis.delete(name)
        redis.xadd(name, {"n": "3"})
        await platform.records(3)
        assert host.states()[0].received == 3
    redis.delete(name)
    redis.xadd(name, {"n": "4"})
    async with platform.running(stream(redis_server, name, f"{name}-b", consumerGroup="g")):
        found = await platform.records(4)

    assert values(found) == ["1", "2", "3", "4"]


async def test_a_message_that_was_trimmed_while_it_was_in_hand_is_said(
    platform: Platform, redis_server: Program, redis: Redis, name: str, flaky: Flaky
) -> None:
    spec = stream(redis_server, name, consumerGroup="g")
    async with platform.running(spec) as host:
        await state(host, "listening")
        flaky.away = True
        redis.xadd(name, {"n": "gone"})
        await until(lambda: flaky.refused > 0)
    redis.xtrim(name, maxlen=0)
    flaky.away = False
    async with platform.running(spec) as host:
        await until(lambda: "removed" in (host.states()[0].note or ""))
        redis.xadd(name, {"n": "next"})
        assert values(await platform.records(1)) == ["next"]
        assert redis.xpending(name, "g")["pending"] == 0


async def test_redis_over_tls_checks_the_server(platform: Platform, tmp_path: Path, name: str) -> None:
    authority, port = Authority(), free_port()
    cert, key = authority.sign().write(tmp_path, "server")
    words = ["--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    platform.secrets.values["pki", "ca"] = Authority().cert
    with brokers.redis(tmp_path / "redis", [*words, "--tls-auth-clients", "no"]) as server:
        ca = {"caCertSecret": {"name": "pki", "key": "ca"}}
        entry = {"hostAddress": f"127.0.0.1:{port}", "streams": [name], "tls": ca}
        async with platform.running(document(redisStream={"thing": entry})) as host:
            waiting = await state(host, "waiting")
            platform.secrets.values["pki", "ca"] = authority.cert
            await state(host, "listening")
            with Redis(host="127.0.0.1", port=server.port) as client:
                client.xadd(name, {"n": "1"})
            assert values(await platform.records(1)) == ["1"]

    assert "certificate" in (waiting.waiting_for or "")


async def test_patterns_of_channels_are_ours(
    platform: Platform, redis_server: Program, redis: Redis, name: str
) -> None:
    entry = {"hostAddress": redis_server.address, "patterns": [f"{name}.*"]}
    async with platform.running(document(redis={"thing": entry})) as host:
        await state(host, "listening")
        redis.publish(f"{name}.a", "text")
        (record,) = await platform.records(1)

    assert record.event.data == {"channel": f"{name}.a", "pattern": f"{name}.*", "body": "text"}


# --- sqs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def aws(moto_server: Program) -> Iterator[Any]:
    made: list[Any] = []

    def client(service: str) -> Any:
        made.append(
            boto3.client(
                service,
                region_name="us-east-1",
                endpoint_url=f"http://{moto_server.address}",
                aws_access_key_id="key-of-tests",
                aws_secret_access_key="secret-of-tests",
            )
        )
        return made[-1]

    yield client
    for one in made:
        one.close()


def queue(server: Program, name: str, version: str = OURS, **more: Any) -> Any:
    where = {"region": "us-east-1", "queue": name, "endpoint": f"http://{server.address}", "waitTimeSeconds": 1}
    return document(version=version, sqs={"thing": {**where, **KEYS, **more}})


async def test_a_queue_that_is_not_there_is_said_and_waited_for(
    platform: Platform, moto_server: Program, aws: Any, name: str
) -> None:
    sqs = aws("sqs")
    async with platform.running(queue(moto_server, name)) as host:
        waiting = await state(host, "waiting")
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="text")
        (record,) = await platform.records(1)

    assert "there is no queue" in (waiting.waiting_for or "")
    assert record.event.data["body"] == "text"


async def test_the_order_of_each_fifo_group_is_kept(
    platform: Platform, moto_server: Program, aws: Any, name: str
) -> None:
    sqs = aws("sqs")
    attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
    for number in range(30):
        sqs.send_message(QueueUrl=url, MessageBody=f"{number:02}", MessageGroupId="ab"[number % 2])
    async with platform.running(queue(moto_server, f"{name}.fifo", jsonBody=False)):
        records = await platform.records(30)

    data = [record.event.data for record in records]
    for group, first in (("a", 0), ("b", 1)):
        assert [one["body"] for one in data if one["group"] == group] == [f"{n:02}" for n in range(first, 30, 2)]


async def test_what_cannot_be_read_stays_in_the_queue_with_dlq_and_the_rest_flows(
    platform: Platform, moto_server: Program, aws: Any, name: str
) -> None:
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="{not json")
    async with platform.running(queue(moto_server, name, ARGO, jsonBody=True, dlq=True)) as host:
        sqs.send_message(QueueUrl=url, MessageBody='{"a": 1}')
        (record,) = await platform.records(1)
        await until(lambda: "stays in the queue" in (host.states()[0].last_error or ""))
        await until(lambda: waiting_in(sqs, url) == 1)

    assert record.event.data["body"] == {"a": 1}
    assert host.states()[0].buried == 0


def waiting_in(sqs: Any, url: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(one) for one in told.values())


async def test_while_the_bus_is_slow_nobody_else_is_given_the_messages(
    platform: Platform, moto_server: Program, aws: Any, name: str, flaky: Flaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqs_reader, "VISIBLE_S", 3)
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    async with platform.running(queue(moto_server, name)) as host:
        await state(host, "listening")
        flaky.away = True
        sqs.send_message(QueueUrl=url, MessageBody="text")
        await until(lambda: flaky.refused > 0)
        stolen = await anyio.to_thread.run_sync(
            lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=7, VisibilityTimeout=0).get("Messages", [])
        )
        flaky.away = False
        await platform.records(1)
        await until(lambda: waiting_in(sqs, url) == 0)

    assert stolen == []


async def test_objects_of_a_bucket_are_told_by_way_of_sns(
    platform: Platform, moto_server: Program, aws: Any, name: str
) -> None:
    """The real chain: S3 notifies a topic, which the queue is subscribed to. The bucket's test event is no event."""
    s3, sns, sqs = aws("s3"), aws("sns"), aws("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    s3.create_bucket(Bucket=name)
    rule = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=rule)
    sns.publish(TopicArn=topic, Message=json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"}))
    async with platform.running(queue(moto_server, name)):
        s3.put_object(Bucket=name, Key="train/a b.csv", Body=b"x")
        (record,) = await platform.records(1)
        await until(lambda: waiting_in(sqs, url) == 0)
        found = await platform.all()

    assert len(found) == 1
    assert unquote_plus(record.event.data["body"]["Records"][0]["s3"]["object"]["key"]) == "train/a b.csv"
    assert record.event.data["sns"]["TopicArn"] == topic


# --- google ----------------------------------------------------------------------------------------------------------


def publisher(server: Program) -> PublisherClient:
    return PublisherClient(transport=PublisherGrpcTransport(channel=grpc.insecure_channel(server.address)))


def subscriber(server: Program) -> SubscriberClient:
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(server.address)))


def topic(server: Program, name: str, **more: Any) -> Any:
    where = {"projectID": PROJECT, "topic": name, "subscriptionID": f"{name}-s", "endpoint": server.address}
    return document(pubSub={"thing": {**where, **more}})


async def test_a_topic_that_is_not_there_is_waited_for_in_ours(
    platform: Platform, pubsub_emulator: Program, name: str
) -> None:
    async with platform.running(topic(pubsub_emulator, name)) as host:
        waiting = await state(host, "waiting")
        with publisher(pubsub_emulator) as client:
            path = f"projects/{PROJECT}/topics/{name}"
            client.create_topic(request={"name": path}, timeout=20)
            await state(host, "listening")
            message = {"data": b'{"rows": 3}', "attributes": {"k": "v"}, "ordering_key": "a"}
            client.publish(request={"topic": path, "messages": [message]}, timeout=20)
        (record,) = await platform.records(1)

    assert f"topics/{name}" in (waiting.waiting_for or "")
    assert record.event.data["body"] == {"rows": 3}
    assert record.event.data["attributes"] == {"k": "v"}
    assert record.event.data["orderingKey"] == "a"


async def test_argos_makes_the_topic_and_may_remove_its_subscription(
    platform: Platform, pubsub_emulator: Program, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_emulator.address)
    entry = {"projectID": PROJECT, "topic": name, "deleteSubscriptionOnFinish": True}
    subscription = {"subscription": f"projects/{PROJECT}/subscriptions/retrain-es-thing"}
    async with platform.running(document(version=ARGO, pubSub={"thing": entry})) as host:
        await state(host, "listening")
        with subscriber(pubsub_emulator) as client:
            found = client.get_subscription(request=subscription, timeout=20)
    with subscriber(pubsub_emulator) as client, pytest.raises(NotFound):
        client.get_subscription(request=subscription, timeout=20)

    assert found.topic == f"projects/{PROJECT}/topics/{name}"


async def test_a_subscription_of_another_topic_is_refused(
    platform: Platform, pubsub_emulator: Program, name: str
) -> None:
    with publisher(pubsub_emulator) as client, subscriber(pubsub_emulator) as other:
        for one in (name, f"{name}-other"):
            client.create_topic(request={"name": f"projects/{PROJECT}/topics/{one}"}, timeout=20)
        wanted = {
            "name": f"projects/{PROJECT}/subscriptions/{name}-s",
            "topic": f"projects/{PROJECT}/topics/{name}-other",
        }
        other.create_subscription(request=wanted, timeout=20)
    async with platform.running(topic(pubsub_emulator, name)) as host:
        waiting = await state(host, "waiting")

    assert "belongs to" in (waiting.waiting_for or "")


async def test_a_key_that_is_none_of_a_service_account_is_refused_and_not_shown(
    platform: Platform, pubsub_emulator: Program, name: str
) -> None:
    platform.secrets.values["google", "key"] = '{"type": "external_account", "credential_source": {"file": "/secret"}}'
    entry = {"projectID": PROJECT, "topic": name, "credentialSecret": {"name": "google", "key": "key"}}
    async with platform.running(document(pubSub={"thing": entry})) as host:
        waiting = await state(host, "waiting")

    assert waiting.waiting_for == "credentialSecret holds no key of a service account as JSON"


async def test_what_happens_to_an_object_is_told_in_the_order_of_its_generations(
    platform: Platform, gcs_and_pubsub: tuple[Program, Program], tmp_path: Path
) -> None:
    bucket = Objects(tmp_path, gcs_and_pubsub, OURS)
    await bucket.prepare()
    key = "train/a b+ü%.csv"
    more = {"events": ["OBJECT_FINALIZE", "OBJECT_DELETE"], "filter": {"prefix": "train/", "suffix": ".csv"}}
    async with platform.running(bucket.document(**more)) as host:
        await state(host, "listening")
        await anyio.to_thread.run_sync(bucket.put, "other/x.csv", b"1")
        await anyio.to_thread.run_sync(bucket.put, key, b"1")
        await anyio.to_thread.run_sync(bucket.put, key, b"22")
        await anyio.to_thread.run_sync(bucket.remove, key)
        records = await platform.records(4)

    told = [record.event.data for record in records]
    generations = sorted({int(one["generation"]) for one in told})
    newest: dict[str, tuple[int, bool]] = {}
    for one in told:  # what is not marked is in order
        step = (int(one["generation"]), one["eventType"] == "OBJECT_DELETE")
        if not one["superseded"]:
            assert step >= newest.get(one["key"], (0, False))
            newest[one["key"]] = step
    assert {one["key"] for one in told} == {key}
    assert len(generations) == 2
    assert newest[key] == (generations[1], True)
    assert records[0].event.extensions["retrainobject"].startswith(f"gs://{bucket.bucket}/train/a%20b%2B")
