"""What a user writes for a Kafka source, and what can be wrong with it. `kafka_source.py` runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eventsources.fields import (
    SASL,
    TLS,
    Backoff,
    Filter,
    Limits,
    Path,
    check_existing,
    check_sasl,
    check_tls,
    not_built,
    only_ours,
)
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
STRATEGIES = ("range", "sticky", "roundrobin")
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")


class ConsumerGroup(Shape):
    """A group whose members share the partitions. `oldest`: a partition that the group never read is read whole."""

    group_name: str = ""
    oldest: bool = False
    rebalance_strategy: str = ""


class Kafka(Shape):
    """Records of one topic: by a consumer group, or of one partition. `existing` and `limits` are of retrain.dev/v1.

    `url`: addresses of brokers, with commas between. `existing`: emit or skip what the topic holds at the very first
    start; skip if left out. `version` and `connection_backoff` are taken and change nothing: the client finds out what
    the brokers speak, and pauses are the platform's.
    """

    url: str = ""
    topic: str = ""
    partition: str = ""
    consumer_group: ConsumerGroup | None = None
    version: str = ""
    json_body: bool | None = None
    limit_events_per_second: int = 0
    sasl: SASL | None = None
    tls: TLS | None = None
    connection_backoff: Backoff | None = None
    aws_msk_iam_auth: JsonValue = None
    schema_registry: JsonValue = None
    config: str = ""
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    existing: str | None = None
    limits: Limits | None = None


def brokers(url: str) -> list[str]:
    """The addresses in a `url`, as host:port."""
    return [one.strip() if ":" in one else f"{one.strip()}:9092" for one in url.split(",") if one.strip()]


def check(path: Path, kafka: Kafka, ours: bool) -> Iterator[Problem]:
    """What is wrong with one Kafka source."""
    if not brokers(kafka.url):
        yield Problem(path, "missing-field", "url is missing: host:port of a broker, or several with commas between")
    for one in brokers(kafka.url):
        if "/" in one or not one.rpartition(":")[2].isdecimal():
            yield Problem((*path, "url"), "wrong-value", f"{one!r} is no host:port of a broker")
    if not _TOPIC.fullmatch(kafka.topic):
        wrong = f"topic {kafka.topic!r} is no name of a topic" if kafka.topic else "topic is missing"
        yield Problem(
            (*path, "topic") if kafka.topic else path, "wrong-value" if kafka.topic else "missing-field", wrong
        )
    yield from _check_place(path, kafka, ours=ours)
    if kafka.limit_events_per_second < 0:
        message = "limitEventsPerSecond must not be negative; 0 is no limit"
        yield Problem((*path, "limitEventsPerSecond"), "wrong-value", message)
    yield from check_sasl((*path, "sasl"), kafka.sasl, MECHANISMS)
    yield from check_tls((*path, "tls"), kafka.tls, ours=ours)
    yield from only_ours(path, kafka, ("existing",), ours=ours)
    yield from check_existing((*path, "existing"), kafka.existing)
    yield from not_built(
        path,
        kafka,
        (
            ("schemaRegistry", "let the producer write JSON, or read the bytes and decode them in the workflow"),
            ("awsMskIamAuth", "give the cluster SASL/SCRAM and use sasl"),
            ("config", "it is sarama's; what else is needed here, the fields of this source say"),
        ),
    )


def _check_place(path: Path, kafka: Kafka, *, ours: bool) -> Iterator[Problem]:
    """A group, or one partition; retrain.dev/v1 makes a group's name where neither is given."""
    group = kafka.consumer_group
    if kafka.partition and not kafka.partition.isdecimal():
        yield Problem((*path, "partition"), "wrong-value", f"partition {kafka.partition!r} is no number")
    if group is None:
        if not kafka.partition and not ours:
            yield Problem(path, "missing-field", "give consumerGroup, or the partition to read")
        return
    if not group.group_name:
        yield Problem((*path, "consumerGroup"), "missing-field", "consumerGroup.groupName is missing")
    if group.rebalance_strategy and group.rebalance_strategy not in STRATEGIES:
        message = f"rebalanceStrategy {group.rebalance_strategy!r} is none of {', '.join(STRATEGIES)}"
        yield Problem((*path, "consumerGroup", "rebalanceStrategy"), "wrong-value", message)
    if kafka.existing == "skip" and group.oldest:
        message = "existing: skip contradicts consumerGroup.oldest: true"
        yield Problem((*path, "existing"), "wrong-value", message)
