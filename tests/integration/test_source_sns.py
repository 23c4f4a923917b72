"""The sns source against moto's SNS: it subscribes its endpoint, confirms, and takes what is published."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
import boto3
import pytest

from eventsources import EventSourceDocument
from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import Platform, Secrets, document, state, until
from tests.servers.launch import free_port
from tests.servers.program import Program

pytestmark = pytest.mark.integration


@pytest.fixture
def sns(moto_server: Program) -> Any:
    return boto3.client(
        "sns",
        region_name="us-east-1",
        endpoint_url=f"http://{moto_server.address}",
        aws_access_key_id="access",
        aws_secret_access_key="secret",
    )


@pytest.fixture
def topic(sns: Any) -> str:
    return sns.create_topic(Name=f"t-{uuid4().hex[:12]}")["TopicArn"]


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store, Secrets({("aws", "access"): "access", ("aws", "secret"): "secret"}))


def source(server: Program, topic: str, port: int, **more: Any) -> EventSourceDocument:
    entry = {
        "webhook": {"endpoint": "/sns", "port": str(port), "url": f"http://127.0.0.1:{port}"},
        "topicArn": topic,
        "region": "us-east-1",
        "endpoint": f"http://{server.address}",
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
        "validateSignature": False,  # moto signs nothing; signatures are in tests/contract/outside/sns.py
        **more,
    }
    return document(sns={"thing": entry})


async def subscribed(sns: Any, topic: str) -> list[str]:
    answer = await anyio.to_thread.run_sync(lambda: sns.list_subscriptions_by_topic(TopicArn=topic))
    return [one["Endpoint"] for one in answer["Subscriptions"]]


async def test_what_is_published_becomes_an_event(
    platform: Platform, moto_server: Program, sns: Any, topic: str
) -> None:
    port = free_port()
    async with platform.running(source(moto_server, topic, port)) as host:
        await state(host, "listening")
        with anyio.fail_after(30):
            while not await subscribed(sns, topic):  # noqa: ASYNC110 - moto tells nobody
                await anyio.sleep(0.05)
        sent = await anyio.to_thread.run_sync(lambda: sns.publish(TopicArn=topic, Message="hello", Subject="greeting"))
        (record,) = await platform.records(1)

    assert await subscribed(sns, topic) == [f"http://127.0.0.1:{port}/sns"]  # it stays: SNS tries on while we are away
    assert record.event.id == sent["MessageId"]
    assert record.event.data["body"]["Message"] == "hello"
    assert record.event.data["body"]["TopicArn"] == topic


async def test_a_topic_that_is_missing_is_said_and_waited_for(
    platform: Platform, moto_server: Program, sns: Any
) -> None:
    name = f"t-{uuid4().hex[:12]}"
    topic = f"arn:aws:sns:us-east-1:123456789012:{name}"
    async with platform.running(source(moto_server, topic, free_port())) as host:
        await until(lambda: "not subscribed" in (host.states()[0].note or ""))
        said = host.states()[0]
        await anyio.to_thread.run_sync(lambda: sns.create_topic(Name=name))
        await until(lambda: "not subscribed" not in (host.states()[0].note or ""))

    assert said.state == "listening"
    assert topic in (said.note or "")
