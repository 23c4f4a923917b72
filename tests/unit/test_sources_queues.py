"""What brokers' messages become, and what is wrong with their sources' manifests. Nothing is connected."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from eventsources import EventSourceDocument, check
from eventsources.gotime import go_time
from eventsources.queues import kafka_record, mqtt_message, nats_message
from eventsources.queues.amqp import QueueDeclare, arguments_of
from eventsources.queues.in_hand import InHand
from retrain.errors import Permanent
from retrain.events import JsonValue

OURS, ARGO = "retrain.dev/v1", "argoproj.io/v1alpha1"
NOON = datetime(2026, 11, 20, 12, 0, 0, 500_000, UTC)


def problems(kind: str, api: str, entry: dict[str, Any]) -> list[str]:
    """`code path` of what is wrong with one source."""
    spec = {kind: {"thing": entry}}
    document = EventSourceDocument.model_validate(
        {"apiVersion": api, "kind": "EventSource", "metadata": {"name": "es"}, "spec": spec}
    )
    return [f"{one.code} {'.'.join(map(str, one.path[3:]))}" for one in check(document)]


KAFKA = {"url": "broker:9092", "topic": "t"}
NATS = {"url": "nats://n:4222", "subject": "a.>"}
AMQP = {"url": "amqp://r", "exchangeName": "e", "exchangeType": "topic", "routingKey": "#"}
MQTT = {"url": "tcp://m:1883", "topic": "a/#", "clientId": "c"}
SECRET = {"name": "s", "key": "k"}


@pytest.mark.parametrize(
    ("kind", "entry"),
    [
        ("kafka", KAFKA | {"partition": "0"}),
        ("kafka", KAFKA | {"consumerGroup": {"groupName": "g"}, "version": "2.5.0", "limitEventsPerSecond": 5}),
        (
            "nats",
            NATS | {"queue": "q", "auth": {"token": SECRET}, "connectionBackoff": {"duration": "1s", "factor": 2}},
        ),
        ("amqp", AMQP | {"queueDeclare": {"arguments": "x-queue-type: quorum"}, "consume": {"autoAck": True}}),
        ("mqtt", MQTT | {"auth": {"username": SECRET, "password": SECRET}}),
    ],
)
@pytest.mark.parametrize("version", [OURS, ARGO])
def test_what_argo_takes_is_taken(kind: str, entry: dict[str, Any], version: str) -> None:
    assert problems(kind, version, entry) == []


@pytest.mark.parametrize(
    ("kind", "version", "entry", "problem"),
    [
        ("kafka", ARGO, KAFKA, "missing-field "),
        ("kafka", OURS, {"topic": "t"}, "missing-field "),
        ("kafka", OURS, KAFKA | {"url": "kafka://b/x"}, "wrong-value url"),
        ("kafka", OURS, KAFKA | {"topic": "no spaces"}, "wrong-value topic"),
        ("kafka", OURS, KAFKA | {"partition": "one"}, "wrong-value partition"),
        ("kafka", OURS, KAFKA | {"schemaRegistry": {"url": "http://r"}}, "unsupported-field schemaRegistry"),
        ("kafka", OURS, KAFKA | {"awsMskIamAuth": {"region": "eu"}}, "unsupported-field awsMskIamAuth"),
        ("kafka", OURS, KAFKA | {"config": "consumer: {}"}, "unsupported-field config"),
        ("kafka", OURS, KAFKA | {"consumerGroup": {"groupName": ""}}, "missing-field consumerGroup"),
        (
            "kafka",
            OURS,
            KAFKA | {"sasl": {"mechanism": "GSSAPI", "userSecret": SECRET, "passwordSecret": SECRET}},
            "unsupported-field sasl.mechanism",
        ),
        ("kafka", ARGO, KAFKA | {"partition": "0", "existing": "emit"}, "unknown-field existing"),
        ("nats", OURS, NATS | {"subject": "a..b"}, "wrong-value subject"),
        ("nats", OURS, NATS | {"url": "http://n"}, "wrong-value url"),
        ("nats", OURS, NATS | {"auth": {"token": SECRET, "nkey": SECRET}}, "wrong-value auth"),
        ("jetstream", OURS, NATS, "missing-field "),
        ("jetstream", OURS, NATS | {"stream": "a.b"}, "wrong-value stream"),
        ("amqp", OURS, AMQP | {"exchangeType": "round"}, "wrong-value exchangeType"),
        ("amqp", OURS, AMQP | {"urlSecret": SECRET}, "missing-field "),
        ("amqp", ARGO, AMQP | {"exchangeName": ""}, "missing-field "),
        ("amqp", OURS, AMQP | {"queueDeclare": {"arguments": "- a list"}}, "wrong-value queueDeclare.arguments"),
        ("amqp", ARGO, AMQP | {"prefetch": 5}, "unknown-field prefetch"),
        ("mqtt", ARGO, MQTT | {"clientId": ""}, "missing-field "),
        ("mqtt", OURS, MQTT | {"topic": "a/#/b"}, "wrong-value topic"),
        ("mqtt", OURS, MQTT | {"qos": 2}, "unsupported-field qos"),
        ("mqtt", OURS, MQTT | {"url": "ws://m"}, "wrong-value url"),
        ("mqtt", OURS, MQTT | {"version": "4"}, "wrong-value version"),
        ("mqtt", ARGO, MQTT | {"qos": 1}, "unknown-field qos"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(kind: str, version: str, entry: dict[str, Any], problem: str) -> None:
    assert problem in problems(kind, version, entry)


def test_a_time_is_written_as_go_writes_it() -> None:
    assert go_time(NOON) == "2026-11-20 12:00:00.5 +0000 UTC"
    assert go_time(NOON.replace(microsecond=0)) == "2026-11-20 12:00:00 +0000 UTC"
    assert go_time(None) == "0001-01-01 00:00:00 +0000 UTC"


def record(**more: Any) -> kafka_record.KafkaRecord:
    given: dict[str, Any] = {"topic": "t", "partition": 1, "offset": 7, "timestamp": 1_795_176_000_500, "key": b"k"}
    return kafka_record.KafkaRecord(**{**given, "value": b'{"a": 1}', "headers": [("h", b"v"), ("n", None)], **more})


def test_a_kafka_record_in_argos_shape_has_its_bytes_as_base64_and_its_time_as_go_writes_it() -> None:
    assert kafka_record.data_of(record(), None, ours=False) == {
        "topic": "t",
        "key": "k",
        "partition": 1,
        "timestamp": "2026-11-20 12:00:00.5 +0000 UTC",
        "headers": {"h": "v", "n": ""},
        "body": "eyJhIjogMX0=",
    }


def test_a_kafka_record_in_our_shape_tells_its_offset() -> None:
    data = kafka_record.data_of(record(), None, ours=True)

    assert (data["offset"], data["timestamp"], data["body"]) == (7, "2026-11-20T12:00:00.500000Z", {"a": 1})


@pytest.mark.parametrize("json_body", [True, False, None])
def test_the_body_of_a_tombstone_is_null(json_body: bool | None) -> None:
    assert kafka_record.data_of(record(value=None), json_body, ours=False)["body"] is None


def test_a_topic_that_was_made_again_gives_other_ids() -> None:
    assert record().thing != record(timestamp=1_795_176_000_501).thing


def test_a_record_that_must_be_json_and_is_not_is_refused() -> None:
    with pytest.raises(Permanent, match="not JSON"):
        kafka_record.data_of(record(value=b"{"), True, ours=False)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.S.durable.1.42.7.1795176000500000000.3",
        "$JS.ACK.hub.account.S.durable.1.42.7.1795176000500000000.3",
        "$JS.ACK._.account.S.durable.1.42.7.1795176000500000000.3.random",
    ],
)
def test_a_jetstream_message_tells_its_place_in_the_stream(reply: str) -> None:
    place = nats_message.place_of(reply)

    assert place == nats_message.Place("S", 42, 1_795_176_000_500_000_000, 3)
    assert place.time == NOON


def test_any_other_address_is_no_place() -> None:
    assert nats_message.place_of("_INBOX.abc") is None
    assert nats_message.place_of("") is None


def test_a_nats_message_without_headers_has_no_header() -> None:
    message = nats_message.NatsMessage("a.b", "", b"\xff")

    assert nats_message.data_of(message, None, ours=False) == {"subject": "a.b", "body": "/w=="}
    assert nats_message.data_of(message, None, ours=True) == {
        "subject": "a.b",
        "body": "/w==",
        "bodyEncoding": "base64",
    }


def test_an_mqtt_message_tells_what_its_sender_wrote_beside_it() -> None:
    message = mqtt_message.MqttMessage("a/b", b"1", 3, 1, again=False, retained=True, properties=(("k", "v"),))

    assert mqtt_message.data_of(message, None, ours=False) == {"topic": "a/b", "messageId": 3, "body": "MQ=="}
    assert mqtt_message.data_of(message, None, ours=True) == {
        "topic": "a/b",
        "messageId": 3,
        "retained": True,
        "properties": {"k": "v"},
        "body": 1,
    }


@pytest.mark.parametrize("written", ["x-queue-type: quorum", {"x-queue-type": "quorum"}])
def test_a_queues_arguments_are_a_mapping_or_its_yaml(written: JsonValue) -> None:
    assert arguments_of(QueueDeclare(arguments=written)) == {"x-queue-type": "quorum"}


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, str], JsonValue] = {}

    async def get(self, scope: str, names: Any) -> dict[str, JsonValue]:
        return {name: self.values[scope, name] for name in names if (scope, name) in self.values}

    async def after(self, scope: str, name: str, limit: int) -> dict[str, JsonValue]:
        return {}

    async def save(self, scope: str, values: Any) -> None:
        self.values |= {(scope, name): value for name, value in values.items()}

    async def forget(self, scope: str, names: Any) -> None:
        return None


async def test_a_message_that_is_handed_out_again_after_a_crash_has_its_name_again() -> None:
    kept = Kept()
    first = await InHand(kept, "q").name([("a", False), ("a", False), ("b", False)])

    after = await InHand(kept, "q").name([("a", True), ("a", True), ("b", True)])

    assert after == first
    assert len(set(first)) == 3


async def test_two_messages_that_are_alike_are_two() -> None:
    names = InHand(Kept(), "q")
    first = await names.name([("a", False)])

    second = await names.name([("a", False)])
    again = await names.name([("a", True), ("a", True)])

    assert first != second
    assert again == first + second


async def test_numbered_messages_have_their_names_again_after_many_batches_and_a_crash() -> None:
    kept = Kept()
    names = InHand(kept, "q", numbered=True)
    first = [(await names.name([(f"a/{number}", False)]))[0] for number in range(300)]

    after = await InHand(kept, "q", numbered=True).name([(f"a/{number}", True) for number in range(250, 300)])

    assert after == first[250:]
    assert len(kept.values) < 5


async def test_a_new_message_with_the_number_of_an_old_one_is_named_for_itself() -> None:
    kept = Kept()
    names = InHand(kept, "q", numbered=True)
    first = await names.name([("a/1", False)])
    second = await names.name([("a/1", False)])

    assert first != second
    assert await names.name([("a/1", True)]) == second
    assert await InHand(kept, "q", numbered=True).name([("a/1", True)]) == second
    assert await InHand(kept, "q", numbered=True).known("a") == second[0]


async def test_a_message_handed_out_again_that_nobody_remembers_is_new() -> None:
    (name,) = await InHand(Kept(), "q").name([("a", True)])

    assert name
