"""The Kafka source against a real broker: groups, partitions, offsets, transactions, logins."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import anyio.to_thread
import pytest

from retrain.bus import MemoryBus
from retrain.store import Store, open_store
from tests.contract.source_world import ARGO, OURS, Platform, Secrets, document, state, until
from tests.servers.certificates import Authority

if TYPE_CHECKING:
    from tests.servers.kafka_server import KafkaServer

# The client leaves the socket of a refused connection or handshake to the garbage collector, which warns of it.
pytestmark = [
    pytest.mark.integration,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What the client leaves is collected here, and not in some other test."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store, Secrets({}))


@pytest.fixture
def topic(kafka: KafkaServer) -> str:
    """A topic of two partitions."""
    name = f"topic-{uuid4().hex[:12]}"
    kafka.make_topic(name, 2)
    return name


def source(kafka: KafkaServer, topic: str, version: str = OURS, **more: Any) -> Any:
    entry = {"url": kafka.address, "topic": topic, "consumerGroup": {"groupName": f"g-{topic}"}, **more}
    return document(version=version, kafka={"thing": {key: value for key, value in entry.items() if value is not None}})


async def send(kafka: KafkaServer, topic: str, *values: bytes | None, partition: int | None = None) -> None:
    await anyio.to_thread.run_sync(lambda: kafka.send(topic, *values, partition=partition))


async def test_a_tombstone_comes_with_a_body_of_null(kafka: KafkaServer, topic: str, platform: Platform) -> None:
    async with platform.running(source(kafka, topic, jsonBody=True)) as host:
        await state(host, "listening")
        await anyio.to_thread.run_sync(kafka.send_keyed, topic, [(b"gone", None)])
        (record,) = await platform.records(1)

    assert record.event.data["body"] is None
    assert record.event.data["key"] == "gone"


async def test_oldest_reads_what_the_topic_has(kafka: KafkaServer, topic: str, platform: Platform) -> None:
    await send(kafka, topic, b"1", b"2")
    async with platform.running(source(kafka, topic, consumerGroup={"groupName": f"o-{topic}", "oldest": True})):
        records = await platform.records(2)

    assert {record.event.data["body"] for record in records} == {1, 2}


@pytest.mark.parametrize("version", [OURS, ARGO])
async def test_a_single_partition_goes_on_where_it_was_left(
    kafka: KafkaServer, topic: str, platform: Platform, version: str
) -> None:
    one = source(kafka, topic, version, consumerGroup=None, partition="1", jsonBody=True)
    await send(kafka, topic, b"0", partition=1)
    async with platform.running(one) as host:
        await state(host, "listening")
        await send(kafka, topic, b"7", partition=0)
        await until(lambda: host.states()[0].lag is not None or host.states()[0].state == "listening")
        await send(kafka, topic, b"1", partition=1)
        await platform.records(1)
    await send(kafka, topic, b"2", partition=1)
    async with platform.running(one):
        records = await platform.records(2)

    assert [record.event.data["body"] for record in records] == [1, 2]


async def test_two_replicas_share_a_topic_and_one_that_leaves_hands_over(
    kafka: KafkaServer, topic: str, memory_bus: MemoryBus, tmp_path: Path
) -> None:
    count = 400
    async with open_store(tmp_path / "a.db") as one, open_store(tmp_path / "b.db") as two:
        first, second = (Platform(memory_bus, store, Secrets({})) for store in (one, two))
        async with first.running(source(kafka, topic)) as host:
            await state(host, "listening")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, kafka, topic, *[str(n).encode() for n in range(count)])
                async with second.running(source(kafka, topic)) as other:
                    await until(lambda: other.states()[0].state == "listening")
                    await first.records(count // 2)
            await send(kafka, topic, *[str(n).encode() for n in range(count, 2 * count)])
            records = await first.records(2 * count)

    assert sorted(record.event.data["body"] for record in records) == list(range(2 * count))


async def test_what_a_transaction_takes_back_is_not_told(kafka: KafkaServer, topic: str, platform: Platform) -> None:
    from kafka import KafkaProducer

    def transact() -> None:
        producer = KafkaProducer(bootstrap_servers=kafka.address, transactional_id=topic)
        try:
            producer.init_transactions()
            producer.begin_transaction()
            producer.send(topic, b'"taken back"', partition=0)
            producer.abort_transaction()
            producer.begin_transaction()
            producer.send(topic, b'"stays"', partition=0)
            producer.commit_transaction()
        finally:
            producer.close()

    async with platform.running(source(kafka, topic)) as host:
        await state(host, "listening")
        await anyio.to_thread.run_sync(transact)
        records = await platform.records(1)

    assert [record.event.data["body"] for record in records] == ["stays"]


async def test_a_topic_that_was_made_again_is_read_from_its_beginning(
    kafka: KafkaServer, topic: str, platform: Platform
) -> None:
    from kafka import KafkaAdminClient

    def make_again() -> None:
        admin = KafkaAdminClient(bootstrap_servers=kafka.address)
        try:
            admin.delete_topics([topic])
        finally:
            admin.close()

    async with platform.running(source(kafka, topic)) as host:
        await state(host, "listening")
        await send(kafka, topic, b"1", b"2", b"3", partition=0)
        await platform.records(3)
        await until(lambda: host.states()[0].received == 3)
    await anyio.to_thread.run_sync(make_again)
    async with platform.running(source(kafka, topic)) as host:
        waiting = await state(host, "waiting")
        await anyio.to_thread.run_sync(lambda: kafka.make_topic(topic, 2))
        await send(kafka, topic, b"4", partition=0)
        records = await platform.records(4)

    assert "there is no topic" in (waiting.waiting_for or "")
    assert [record.event.data["body"] for record in records] == [1, 2, 3, 4]


async def test_tls_checks_the_broker_against_the_given_authority(
    kafka: KafkaServer, topic: str, platform: Platform
) -> None:
    if kafka.tls is None or kafka.authority is None:
        pytest.skip("the broker of RETRAIN_TEST_KAFKA has no address with TLS")
    platform.secrets = Secrets({("pki", "ca"): Authority().cert})
    secured = source(kafka, topic, url=kafka.tls, tls={"caCertSecret": {"name": "pki", "key": "ca"}})
    async with platform.running(secured) as host:
        waiting = await state(host, "waiting")
        platform.secrets.values["pki", "ca"] = kafka.authority.cert
        await state(host, "listening")
        await send(kafka, topic, b"1")
        await platform.records(1)

    assert "certificates are not trusted" in (waiting.waiting_for or "")


async def test_the_lag_is_what_waits_outside(kafka: KafkaServer, topic: str, platform: Platform) -> None:
    await send(kafka, topic, *[b"1"] * 40, partition=0)
    slow = source(kafka, topic, consumerGroup={"groupName": f"l-{topic}", "oldest": True}, limitEventsPerSecond=10)
    async with platform.running(slow) as host:
        await until(lambda: (host.states()[0].lag or 0) > 0)
        lag = host.states()[0].lag

    assert lag is not None
    assert 0 < lag < 40
