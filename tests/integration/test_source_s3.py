"""The S3 source on moto's S3, SQS and SNS: notifications by a queue, and what it finds without them."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import anyio
import anyio.to_thread
import boto3
import pytest

from retrain.bus import MemoryBus
from retrain.errors import Transient
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, document, state, until
from tests.servers.program import Program

pytestmark = pytest.mark.integration

KEYS = {"aws_access_key_id": "key-of-the-tests", "aws_secret_access_key": "secret-of-the-tests"}
ODD = ("a/b c+d%2F.csv", "é/日本.csv", "100%.csv")
"""moto answers 404 to a put whose key has a newline; MinIO takes it, see test_source_objects.py."""


class Cloud:
    """A bucket and a queue in moto."""

    def __init__(self, server: Program) -> None:
        self.url = f"http://{server.address}"
        self.s3, self.sqs, self.sns = (
            boto3.client(name, region_name="us-east-1", endpoint_url=self.url, **KEYS) for name in ("s3", "sqs", "sns")
        )
        self.bucket, self.queue = f"b-{uuid4().hex[:12]}", f"q-{uuid4().hex[:12]}"
        self.s3.create_bucket(Bucket=self.bucket)
        self.queue_url = self.sqs.create_queue(QueueName=self.queue)["QueueUrl"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=["QueueArn"])
        self.arn = found["Attributes"]["QueueArn"]

    def entry(self, *, queue: bool = True, **more: Any) -> dict[str, Any]:
        entry = {
            "endpoint": self.url,
            "region": "us-east-1",
            "bucket": {"name": self.bucket},
            "accessKey": {"name": "aws", "key": "access"},
            "secretKey": {"name": "aws", "key": "secret"},
            **more,
        }
        if queue:
            sqs = {"queue": self.queue, "endpoint": self.url, "waitTimeSeconds": 1}
            entry["notifications"] = {"sqs": sqs, "arn": self.arn}
        return entry

    def document(self, **more: Any) -> Any:
        return document("es", s3={"thing": self.entry(**more)})

    async def put(self, key: str, body: bytes = b"x") -> None:
        await anyio.to_thread.run_sync(lambda: self.s3.put_object(Bucket=self.bucket, Key=key, Body=body))

    async def send(self, body: str) -> None:
        await anyio.to_thread.run_sync(lambda: self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body))

    async def waits(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        ask = self.sqs.get_queue_attributes
        found = await anyio.to_thread.run_sync(lambda: ask(QueueUrl=self.queue_url, AttributeNames=names))
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture
def cloud(moto_server: Program) -> Cloud:
    return Cloud(moto_server)


@pytest.fixture
def world(memory_bus: MemoryBus, store: Store) -> Platform:
    secrets = {("aws", "access"): "key-of-the-tests", ("aws", "secret"): "secret-of-the-tests"}
    return Platform(memory_bus, store, Secrets(secrets))


def key_of(event: Any) -> str:
    return event.data["notification"][0]["s3"]["object"]["key"]


async def heard(host: Any) -> None:
    await until(lambda: host.states()[0].state == "listening" and host.states()[0].note is None)


def rule(cloud: Cloud) -> None:
    """The bucket's rule, as `retrain sources setup` writes it."""
    from eventsources.objects.s3_setup import rules_of, write

    (wanted,) = rules_of(cloud.document())
    secrets = Secrets({("aws", "access"): "key-of-the-tests", ("aws", "secret"): "secret-of-the-tests"})
    assert write(cloud.document(), wanted, secrets)
    assert not write(cloud.document(), wanted, secrets)


async def test_what_the_queue_tells_and_what_a_listing_finds_is_one_event(
    world: Platform, cloud: Cloud, store: Store
) -> None:
    """The rule's test event (`s3:TestEvent`) is passed over, and its message deleted like the others."""
    await anyio.to_thread.run_sync(rule, cloud)
    async with world.running(cloud.document()) as host:
        await heard(host)
        for key in ODD:
            await cloud.put(key)
        told = [record.event for record in await world.records(len(ODD))]
        with anyio.fail_after(20):
            while await cloud.waits():  # noqa: ASYNC110 - a queue does not tell that it is empty
                await anyio.sleep(0.1)
    await store.write(lambda c: c.exec_driver_sql("DELETE FROM checkpoints"))
    fresh = Platform(MemoryBus(), store, world.secrets)
    async with fresh.running(cloud.document(queue=False)):
        found = [record.event for record in await fresh.records(len(ODD))]

    assert sorted(map(key_of, told)) == sorted(map(key_of, found)) == sorted(ODD)
    assert {event.id for event in told} == {event.id for event in found}
    assert found[0].data["notification"][0]["eventSource"] == "aws:s3"
    assert found[0].data["notification"][0]["eventName"] == "ObjectCreated:Put"


async def test_messages_that_sns_or_eventbridge_wrapped_are_understood_and_others_are_dead_letters(
    world: Platform, cloud: Cloud
) -> None:
    def record(key: str) -> dict[str, Any]:
        thing = {"key": key, "size": 1, "eTag": "e", "versionId": f"v-{key}", "sequencer": "1"}
        s3 = {"bucket": {"name": cloud.bucket}, "object": thing}
        return {"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}

    wrapped = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn:aws:sns:us-east-1:123456789012:t",
        "Message": json.dumps({"Records": [record("by+sns.csv")]}),
    }
    bridged = {
        "version": "0",
        "source": "aws.s3",
        "detail-type": "Object Created",
        "time": "2026-11-21T12:00:00Z",
        "region": "us-east-1",
        "detail": {
            "bucket": {"name": cloud.bucket},
            "object": {"key": "by bridge+.csv", "size": 2, "etag": "e", "version-id": "v2", "sequencer": "2"},
            "reason": "PutObject",
        },
    }
    elsewhere = {"Records": [{**record("x"), "s3": {"bucket": {"name": "another"}, "object": {"key": "x"}}}]}
    async with world.running(cloud.document()) as host:
        await heard(host)
        for message in (wrapped, elsewhere, {"Service": "Amazon S3", "Event": "s3:TestEvent"}, bridged):
            await cloud.send(json.dumps(message))
        await cloud.send("not json")
        events = [record.event for record in await world.records(2)]
        (letter,) = await world.letters(1)

    assert sorted(map(key_of, events)) == ["by bridge+.csv", "by sns.csv"]
    assert letter.body == b"not json"


async def test_a_queue_that_is_missing_is_said_and_bridged_by_listing(world: Platform, cloud: Cloud) -> None:
    entry = cloud.entry()
    entry["notifications"]["sqs"]["queue"] = "not-there"
    async with world.running(document("es", s3={"thing": entry})) as host:
        await until(lambda: "no queue 'not-there'" in (host.states()[0].note or ""))
        await cloud.put("a.csv")
        (record,) = await world.records(1)

    assert key_of(record.event) == "a.csv"


async def test_versions_delete_markers_and_removals_are_found_without_a_queue(world: Platform, cloud: Cloud) -> None:
    both = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
    spec = cloud.document(queue=False, events=both, reconcile={"every": "1s"})
    async with world.running(spec) as host:
        await state(host, "listening")
        await cloud.put("gone.csv")
        await world.records(1)
        await anyio.to_thread.run_sync(lambda: cloud.s3.delete_object(Bucket=cloud.bucket, Key="gone.csv"))
        await world.records(2)
    cloud.s3.put_bucket_versioning(Bucket=cloud.bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        await cloud.put("a.csv", body)
    cloud.s3.delete_object(Bucket=cloud.bucket, Key="a.csv")
    async with world.running(spec):
        events = [record.event for record in await world.records(5)]

    told = [(key_of(event), event.data["notification"][0]["eventName"]) for event in events]
    assert told[:2] == [("gone.csv", "ObjectCreated:Put"), ("gone.csv", "ObjectRemoved:Delete")]
    assert sorted(told[2:]) == [
        ("a.csv", "ObjectCreated:Put"),
        ("a.csv", "ObjectCreated:Put"),
        ("a.csv", "ObjectRemoved:DeleteMarkerCreated"),
    ]


async def test_a_missing_bucket_is_said_in_words(world: Platform, cloud: Cloud) -> None:
    async with world.running(cloud.document(queue=False, bucket={"name": "not-there"})) as host:
        waiting = await state(host, "waiting")

    assert "there is no bucket 'not-there'" in (waiting.waiting_for or "")
    assert "secret-of-the-tests" not in repr(waiting)


def test_a_rule_for_a_missing_bucket_is_refused_in_words(cloud: Cloud) -> None:
    from eventsources.objects.s3_setup import rules_of, write

    missing = cloud.document(bucket={"name": "not-there"})
    (wanted,) = rules_of(missing)
    secrets = Secrets({("aws", "access"): "key-of-the-tests", ("aws", "secret"): "secret-of-the-tests"})

    with pytest.raises(Transient, match="no bucket 'not-there'"):
        write(missing, wanted, secrets)
