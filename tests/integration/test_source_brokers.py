"""The sources nats, jetstream, amqp and mqtt against real servers: what the contract suite does not ask."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aio_pika
import aiomqtt
import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig, StreamConfig

from retrain.bus import MemoryBus
from retrain.store import Store
from tests.contract.source_world import ARGO, OURS, Platform, Secrets, document, state, until
from tests.servers import brokers
from tests.servers.brokers import MosquittoServer, NatsServer, RabbitServer
from tests.servers.certificates import Authority
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration
NATS_LOGIN = {"username": {"name": "nats", "key": "user"}, "password": {"name": "nats", "key": "password"}}
MQTT_LOGIN = {"username": {"name": "mqtt", "key": "user"}, "password": {"name": "mqtt", "key": "password"}}
SECRETS = {
    (place, key): value for place in ("nats", "mqtt") for key, value in (("user", "ann"), ("password", "hunter22"))
}


@pytest.fixture
def platform(memory_bus: MemoryBus, store: Store) -> Platform:
    return Platform(memory_bus, store, Secrets(dict(SECRETS)))


@pytest.fixture
def name() -> str:
    return f"t-{uuid4().hex[:12]}"


# --- NATS ----------------------------------------------------------------------------------------------------------


async def test_a_token_and_a_wildcard_are_enough(platform: Platform, tmp_path: Path) -> None:
    with brokers.nats_server(tmp_path / "nats", 'authorization { token: "tok-12345" }\n') as server:
        platform.secrets.values["nats", "token"] = "wrong-token"
        entry = {"url": server.url, "subject": "a.*.c", "auth": {"token": {"name": "nats", "key": "token"}}}
        async with platform.running(document(nats={"thing": entry})) as host:
            waiting = await state(host, "waiting")
            platform.secrets.values["nats", "token"] = "tok-12345"
            await state(host, "listening")
            client = await nats.connect(server.url, token="tok-12345")
            await client.publish("a.b.c", b"text", headers={"k": "v"})
            await client.flush()
            (record,) = await platform.records(1)
            await client.close()

    assert waiting.waiting_for is not None
    assert "the server refused the login" in waiting.waiting_for
    assert record.event.data == {"subject": "a.b.c", "header": {"k": ["v"]}, "body": "text"}


async def test_nats_over_tls_checks_the_server(platform: Platform, tmp_path: Path) -> None:
    authority = Authority()
    cert, key = authority.sign().write(tmp_path, "server")
    conf = f'tls {{ cert_file: "{cert}", key_file: "{key}" }}\n'
    platform.secrets.values["pki", "ca"] = Authority().cert
    with brokers.nats_server(tmp_path / "nats", conf) as server:
        tls = {"caCertSecret": {"name": "pki", "key": "ca"}}
        async with platform.running(document(nats={"thing": {"url": server.url, "subject": "a", "tls": tls}})) as host:
            waiting = await state(host, "waiting")
            platform.secrets.values["pki", "ca"] = authority.cert
            await state(host, "listening")

    assert "certificate is not trusted" in (waiting.waiting_for or "")


@pytest.fixture
async def stream(nats_outside: NatsServer, name: str) -> Any:
    client = await nats.connect(nats_outside.url, user="ann", password="hunter22")
    yield client.jetstream()
    await client.close()


def reading(server: NatsServer, name: str, **more: Any) -> Any:
    return document(jetstream={"thing": {"url": server.url, "stream": name, "auth": {"basic": NATS_LOGIN}, **more}})


async def test_a_stream_that_is_missing_is_waited_for(
    platform: Platform, nats_outside: NatsServer, stream: Any, name: str
) -> None:
    async with platform.running(reading(nats_outside, name)) as host:
        waiting = await state(host, "waiting")
        await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
        await stream.publish(f"{name}.a", b"1")
        (record,) = await platform.records(1)

    assert f"there is no stream {name!r}" in (waiting.waiting_for or "")
    assert (record.event.data["stream"], record.event.data["sequence"]) == (name, 1)


async def test_only_the_wanted_subjects_come_and_what_was_there_may_be_skipped(
    platform: Platform, nats_outside: NatsServer, stream: Any, name: str
) -> None:
    await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
    await stream.publish(f"{name}.a", b"0")
    async with platform.running(reading(nats_outside, name, subject=f"{name}.a", existing="skip")) as host:
        await state(host, "listening")
        await stream.publish(f"{name}.b", b"1")
        await stream.publish(f"{name}.a", b"2")
        (record,) = await platform.records(1)

    assert record.event.data["body"] == 2


async def test_a_consumer_of_no_use_is_told(
    platform: Platform, nats_outside: NatsServer, stream: Any, name: str
) -> None:
    await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
    await stream.add_consumer(name, ConsumerConfig(durable_name="mine", ack_policy=AckPolicy.NONE))
    async with platform.running(reading(nats_outside, name, consumer="mine")) as host:
        waiting = await state(host, "waiting")

    assert "not acknowledged one by one; give another name as `consumer`" in (waiting.waiting_for or "")


async def test_what_was_acknowledged_is_gone_from_the_consumer(
    platform: Platform, nats_outside: NatsServer, stream: Any, name: str
) -> None:
    await stream.add_stream(StreamConfig(name=name, subjects=[f"{name}.>"]))
    for number in range(20):
        await stream.publish(f"{name}.a", str(number).encode())
    async with platform.running(reading(nats_outside, name, consumer="mine")) as host:
        await platform.records(20)
        await until(lambda: host.states()[0].lag == 0)
    info = await stream.consumer_info(name, "mine")

    assert (info.num_ack_pending, info.num_pending) == (0, 0)


# --- AMQP ----------------------------------------------------------------------------------------------------------


def queued(server: RabbitServer, name: str, version: str = OURS, **more: Any) -> Any:
    entry = {"url": server.url, "exchangeName": name, "exchangeType": "fanout", "routingKey": "any", **more}
    return document(version=version, amqp={"thing": entry})


async def publish(server: RabbitServer, name: str, *bodies: bytes, **more: Any) -> None:
    async with await aio_pika.connect(server.url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(name)
        for body in bodies:
            await exchange.publish(aio_pika.Message(body, delivery_mode=2, **more), "any")


async def test_in_argos_a_queue_of_ones_own_is_bound_to_the_exchange(
    platform: Platform, rabbitmq: RabbitServer, name: str
) -> None:
    async with platform.running(queued(rabbitmq, name, ARGO, jsonBody=True)) as host:
        await state(host, "listening")
        await publish(rabbitmq, name, b'{"a": 1}', content_type="application/json", priority=3, app_id="lab")
        (record,) = await platform.records(1)

    data = record.event.data
    assert (data["body"], data["contentType"], data["priority"], data["appId"]) == (
        {"a": 1},
        "application/json",
        3,
        "lab",
    )
    assert (data["exchange"], data["routingKey"], data["deliveryMode"]) == (name, "any", 2)
    assert data["timestamp"] == "0001-01-01 00:00:00 +0000 UTC"


async def test_in_ours_a_durable_queue_keeps_what_comes_meanwhile(
    platform: Platform, rabbitmq: RabbitServer, name: str
) -> None:
    one = queued(rabbitmq, name, queueDeclare={"name": name, "durable": True})
    async with platform.running(one) as host:
        await state(host, "listening")
    await publish(rabbitmq, name, b"alike", b"alike")
    async with platform.running(one):
        records = await platform.records(2)

    assert [record.event.data["body"] for record in records] == ["alike", "alike"]


async def test_a_queue_that_is_there_may_be_read_without_an_exchange(
    platform: Platform, rabbitmq: RabbitServer, name: str
) -> None:
    entry = {"url": rabbitmq.url, "queueDeclare": {"name": name}}
    async with platform.running(document(amqp={"thing": entry})) as host:
        waiting = await state(host, "waiting")
        async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
            await channel.declare_queue(name, durable=True)
            await channel.default_exchange.publish(aio_pika.Message(b"1"), name)
        (record,) = await platform.records(1)

    assert "no queue" in (waiting.waiting_for or "")
    assert record.event.data["body"] == 1


async def test_an_exchange_that_is_there_in_another_way_is_told(
    platform: Platform, rabbitmq: RabbitServer, name: str
) -> None:
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        await channel.declare_exchange(name, "topic", durable=True)
    async with platform.running(queued(rabbitmq, name)) as host:
        waiting = await state(host, "waiting")

    assert "PRECONDITION_FAILED" in (waiting.waiting_for or "")


async def test_nothing_stays_in_the_queue_once_it_is_safe(
    platform: Platform, rabbitmq: RabbitServer, name: str
) -> None:
    async with platform.running(queued(rabbitmq, name, queueDeclare={"name": name, "durable": True})) as host:
        await state(host, "listening")
        await publish(rabbitmq, name, *[str(number).encode() for number in range(1200)])
        records = await platform.records(1200)
        await until(lambda: host.states()[0].received == 1200)
    async with await aio_pika.connect(rabbitmq.url) as connection, connection.channel() as channel:
        left = (await channel.declare_queue(name, passive=True)).declaration_result.message_count

    assert [record.event.data["body"] for record in records] == list(range(1200))
    assert left == 0


# --- MQTT ----------------------------------------------------------------------------------------------------------


def sender(server: MosquittoServer, **more: Any) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", server.port, username="ann", password="hunter22", **more)


async def test_mqtt_5_keeps_the_session_and_brings_the_senders_properties(
    platform: Platform, mosquitto: MosquittoServer, name: str
) -> None:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    own = Properties(PacketTypes.PUBLISH)
    own.UserProperty = ("rows", "5")
    one = document(mqtt={"thing": entry_of(mosquitto, name, "5")})
    async with platform.running(one) as host:
        await state(host, "listening")
    async with sender(mosquitto, protocol=aiomqtt.ProtocolVersion.V5) as client:
        await client.publish(f"{name}/x", b"meanwhile", qos=1, properties=own)
    async with platform.running(one):
        (record,) = await platform.records(1)

    assert record.event.data["body"] == "meanwhile"
    assert record.event.data["properties"] == {"rows": "5"}


@pytest.mark.parametrize("mqtt_version", ["3.1.1", "5"])
async def test_a_retained_message_is_one_event_however_often_it_is_subscribed_to(
    platform: Platform, mosquitto: MosquittoServer, name: str, mqtt_version: str
) -> None:
    async with sender(mosquitto) as client:
        await client.publish(f"{name}/kept", b"1", qos=1, retain=True)
    for _ in range(2):
        async with platform.running(document(mqtt={"thing": entry_of(mosquitto, name, mqtt_version)})) as host:
            await state(host, "listening")
            await platform.records(1)
    async with platform.running(document(mqtt={"thing": entry_of(mosquitto, name, mqtt_version)})) as host:
        await state(host, "listening")
        async with sender(mosquitto) as client:
            await client.publish(f"{name}/last", b"2", qos=1)
        records = await platform.records(2)

    assert [record.event.data["body"] for record in records] == [1, 2]


def entry_of(server: MosquittoServer, name: str, version: str) -> dict[str, Any]:
    return {
        "url": f"tcp://{server.address}",
        "topic": f"{name}/#",
        "clientId": name,
        "auth": MQTT_LOGIN,
        "version": version,
    }


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[int, Authority]]:
    authority, port = Authority(), free_port()
    cert, key = authority.sign().write(tmp_path, "server")
    ca = tmp_path / "ca.pem"
    ca.write_text(authority.cert)
    conf = f"listener {port} 127.0.0.1\nallow_anonymous true\ncertfile {cert}\nkeyfile {key}\ncafile {ca}\n"
    with brokers.mosquitto(tmp_path / "mosquitto", f"{conf}require_certificate true\n"):
        yield port, authority


# The client leaves the socket of a failed handshake to the garbage collector, which warns of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
async def test_mqtt_over_tls_shows_a_certificate_and_checks_the_brokers(
    platform: Platform, secured: tuple[int, Authority], name: str
) -> None:
    port, authority = secured
    pair = authority.sign("client")
    pki = {"ca": Authority().cert, "cert": pair.cert, "key": pair.key}
    platform.secrets.values |= {("pki", key): value for key, value in pki.items()}
    tls = {f"{field}Secret": {"name": "pki", "key": key} for field, key in _FIELDS.items()}
    entry = {"url": f"ssl://127.0.0.1:{port}", "topic": name, "clientId": name, "tls": tls}
    async with platform.running(document(mqtt={"thing": entry})) as host:
        waiting = await state(host, "waiting")
        platform.secrets.values["pki", "ca"] = authority.cert
        await state(host, "listening")

    gc.collect()
    assert "certificate is not trusted" in (waiting.waiting_for or "")


_FIELDS = {"caCert": "ca", "clientCert": "cert", "clientKey": "key"}
