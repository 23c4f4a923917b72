"""The `kafka` trigger against a real broker: done means that the broker has acknowledged the record."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrain.errors import Permanent, Transient
from tests.servers import kafka_server
from tests.servers.acting import FAST, a_firing, a_row, act, all_ended, dispatching, ended, hand_over, tools
from tests.servers.certificates import Authority
from tests.servers.kafka_server import PASSWORD, USER, KafkaServer

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


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    with kafka_server.kafka(tmp_path_factory.mktemp("kafka")) as server:
        yield server


def send(url: str, topic: str, **more: Any) -> dict[str, Any]:
    return {"kind": "kafka", "url": url, "topic": topic, "payload": {"n": 1}} | more


async def test_a_record_has_its_key_its_headers_and_the_firings_id(broker: KafkaServer) -> None:
    broker.make_topic("whole", partitions=3)
    secure = [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}}]
    action = send(
        broker.address,
        "whole",
        partitioningKey="churn",
        headers={"model": "chürn"},
        secureHeaders=secure,
        partition=2,
        flushFrequency=500,
        version="1.0.0",
        requiredAcks=0,
        compress=True,
    )

    result = await act(action, tools({"api": {"token": "tok-123456\n"}}))

    (record,) = broker.read("whole", 1)
    assert record.value == b'{"n":1}'
    assert record.key == b"churn"
    assert dict(record.headers) == {
        "model": "chürn".encode(),
        "token": b"tok-123456",
        "retrain-firing": a_firing({}).id.encode(),
    }
    assert result == {"topic": "whole", "partition": record.partition, "offset": 0}


async def test_done_means_stored_for_every_one_of_many_firings(broker: KafkaServer, tmp_path: Path) -> None:
    count = 3000
    broker.make_topic("many", partitions=2)
    async with dispatching(tmp_path) as (store, dispatcher):
        await hand_over(store, dispatcher, [a_row(n, send(broker.address, "many")) for n in range(count)])
        counts = await all_ended(store, count)

    assert counts == {"done": count}
    found = {dict(record.headers)["retrain-firing"].decode() for record in broker.read("many", count)}
    assert found == {a_firing({}, n).id for n in range(count)}


async def test_a_record_that_the_broker_finds_too_large_is_final(broker: KafkaServer) -> None:
    broker.make_topic("small", **{"max.message.bytes": "2000"})

    with pytest.raises(Permanent, match="MessageSizeTooLargeError"):
        await act(send(broker.address, "small", payload={"x": "y" * 5000}))


async def test_the_word_of_the_leader_alone_may_be_enough(broker: KafkaServer) -> None:
    broker.make_topic("leader")

    assert (await act(send(broker.address, "leader", requiredAcks=1)))["offset"] == 0


def sasl(mechanism: str = "PLAIN") -> dict[str, Any]:
    return {
        "mechanism": mechanism,
        "userSecret": {"name": "kafka", "key": "user"},
        "passwordSecret": {"name": "kafka", "key": "password"},
    }


async def test_a_login_is_looked_up_and_a_wrong_one_is_told_and_not_shown(broker: KafkaServer) -> None:
    if broker.sasl is None:
        pytest.skip("the broker of RETRAIN_TEST_KAFKA has no address with a login")
    # The address that the cluster tells of itself is that of the same listener.
    action = send(broker.sasl, "login", sasl=sasl())

    assert await act(action, tools({"kafka": {"user": USER, "password": PASSWORD}}))
    with pytest.raises(Transient, match="no broker answers, or they refuse the login") as caught:
        await act(action, tools({"kafka": {"user": USER, "password": "wrong-one"}}, dial_s=2.0))
    assert "wrong-one" not in str(caught.value)


async def test_tls_checks_the_broker_against_the_given_authority(broker: KafkaServer) -> None:
    if broker.tls is None or broker.authority is None:
        pytest.skip("the broker of RETRAIN_TEST_KAFKA has no address with TLS")
    given = tools({"tls": {"ca": broker.authority.cert, "other": Authority().cert}}, dial_s=3.0)

    assert await act(send(broker.tls, "tls", tls={"caCertSecret": {"name": "tls", "key": "ca"}}), given)
    assert await act(send(broker.tls, "tls", tls={"insecureSkipVerify": True}), given)
    with pytest.raises((Permanent, Transient)):
        await act(send(broker.tls, "tls", tls={"caCertSecret": {"name": "tls", "key": "other"}}), given)
    with pytest.raises((Permanent, Transient)):
        await act(send(broker.tls, "tls", tls={"enabled": True}), given)


@pytest.mark.slow
async def test_a_broker_that_dies_is_found_again_and_no_firing_is_lost(tmp_path: Path) -> None:
    if not kafka_server._libs().is_dir():
        pytest.skip("no Kafka in the cache folder: run tests/servers/kafka.sh install")
    from tests.servers.launch import free_port

    port, count = free_port(), 300
    action = send(f"127.0.0.1:{port}", "alive", retryStrategy={**FAST, "steps": 100})
    async with dispatching(tmp_path, tools(answer_s=5.0)) as (store, dispatcher):
        with kafka_server.started(tmp_path / "kafka", port):
            await hand_over(store, dispatcher, [a_row(1, action)])
            assert (await ended(store, 1, 30)).state == "done"
        await hand_over(store, dispatcher, [a_row(n, action) for n in range(2, count + 2)])
        with kafka_server.started(tmp_path / "kafka", port) as server:
            counts = await all_ended(store, count + 1)
            found = {dict(record.headers)["retrain-firing"] for record in server.read("alive", count + 1)}

    assert counts == {"done": count + 1}
    assert len(found) == count + 1
