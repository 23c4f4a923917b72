"""A real Kafka broker for tests: an address in RETRAIN_TEST_KAFKA (host:port, plain text), or one that is started from
what `tests/servers/kafka.sh install` keeps in the cache folder. Where neither is, tests skip with the reason, or fail
where CI is true."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.launch import absent, free_port
from tests.servers.program import Program, cache, running

with warnings.catch_warnings():
    # Of Python 3.11 only, and at the library's first import only: it reads its own files in the old way.
    warnings.filterwarnings("ignore", "(read|open)_text is deprecated", DeprecationWarning)
    from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
    from kafka.admin import NewTopic

USER, PASSWORD = "ann", "hunter22"


class _Broker(Program):
    """Its port accepts a moment before it can answer, and a client that came too early waits for long."""

    _starts = 0

    def start(self) -> None:
        self._starts = self._said()
        super().start()

    def _ready(self) -> bool:
        return super()._ready() and self._said() > self._starts

    def _said(self) -> int:
        return self.output.read_text(errors="replace").count("Kafka Server started") if self.output.exists() else 0


@dataclass(frozen=True)
class KafkaServer:
    """A running broker. `tls` and `sasl` are its other addresses, `program` the process: None if not started here."""

    address: str
    tls: str | None = None
    sasl: str | None = None
    authority: Authority | None = None
    program: Program | None = None
    user: str = USER
    password: str = PASSWORD

    def kill(self) -> None:
        assert self.program is not None
        self.program.kill()

    def start(self) -> None:
        assert self.program is not None
        self.program.start()

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        finally:
            admin.close()

    def send(self, topic: str, *values: bytes | None, partition: int | None = None) -> None:
        """Add records to a topic; returns when the broker has them."""
        self.send_keyed(topic, [(None, value) for value in values], partition)

    def send_keyed(
        self, topic: str, records: Sequence[tuple[bytes | None, bytes | None]], partition: int | None = None
    ) -> None:
        """Add records, each (key, value), in this order; returns when the broker has them."""
        producer = KafkaProducer(bootstrap_servers=self.address, linger_ms=5, enable_idempotence=True)
        try:
            sent = [producer.send(topic, value, key=key, partition=partition) for key, value in records]
            for one in sent:
                one.get(60)
        finally:
            producer.close()

    def read(self, topic: str, count: int, timeout_s: float = 20.0) -> list:
        """The first `count` records of a topic."""
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=self.address,
            auto_offset_reset="earliest",
            consumer_timeout_ms=int(timeout_s * 1000),
            enable_auto_commit=False,
        )
        try:
            records = []
            for record in consumer:
                records.append(record)
                if len(records) == count:
                    break
            return records
        finally:
            consumer.close()


@contextmanager
def kafka(data: Path) -> Generator[KafkaServer]:
    """A broker for as long as the block lasts."""
    if address := os.environ.get("RETRAIN_TEST_KAFKA"):
        yield KafkaServer(address)
    elif _installed():
        with started(data) as server:
            yield server
    else:
        absent("no Kafka: set RETRAIN_TEST_KAFKA, or run tests/servers/kafka.sh install (it needs Java 17 and Maven)")


@contextmanager
def started(data: Path, port: int | None = None) -> Generator[KafkaServer]:
    """A broker of one's own, on `port` if one is given, so that a test may end it."""
    authority = Authority()
    tls, sasl, controller = free_port(), free_port(), free_port()
    properties = data.with_name(f"{data.name}.properties")
    properties.parent.mkdir(parents=True, exist_ok=True)
    properties.write_text(_more(authority))
    env = {
        "KAFKA_LISTENERS": f"SSL://127.0.0.1:{tls},SASL_PLAINTEXT://127.0.0.1:{sasl}",
        "KAFKA_PROPERTIES": str(properties),
    }
    program = _Broker("kafka", data, port or free_port(), words=[str(controller)], env=env)
    with running(program, there=_installed(), how="run tests/servers/kafka.sh install (it needs Java 17 and Maven)"):
        yield KafkaServer(program.address, f"127.0.0.1:{tls}", f"127.0.0.1:{sasl}", authority, program)


@contextmanager
def behind(data: Path, proxied: int) -> Generator[tuple[KafkaServer, str]]:
    """A broker and its second address, which sends clients to the port `proxied`, where a proxy leads to it.

    A broker tells its clients where to go on: a proxy in front of its first address would be left at once.
    """
    inner = free_port()
    properties = data.with_name(f"{data.name}.properties")
    properties.parent.mkdir(parents=True, exist_ok=True)
    program = _Broker("kafka", data, free_port(), words=[str(free_port())])
    program.env = {"KAFKA_LISTENERS": f"PROXIED://127.0.0.1:{inner}", "KAFKA_PROPERTIES": str(properties)}
    properties.write_text(
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT\n"
        f"advertised.listeners=PLAINTEXT://{program.address},PROXIED://127.0.0.1:{proxied}\n"
    )
    with running(program, there=_installed(), how="run tests/servers/kafka.sh install (it needs Java 17 and Maven)"):
        yield KafkaServer(program.address, program=program), f"127.0.0.1:{inner}"


def _installed() -> bool:
    return shutil.which("java") is not None and _libs().is_dir()


def _libs() -> Path:
    return cache() / "kafka-4.4.0" / "libs"


def _more(authority: Authority) -> str:
    """One address with TLS, one with a login. The store of certificates is written out as PEM."""
    pair = authority.sign()
    cert, key = (text.replace("\n", "\\n") for text in (pair.cert + authority.cert, pair.key))
    login = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return (
        "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT\n"
        "ssl.keystore.type=PEM\n"
        f"ssl.keystore.certificate.chain={cert}\n"
        f"ssl.keystore.key={key}\n"
        "sasl.enabled.mechanisms=PLAIN\n"
        f'listener.name.sasl_plaintext.plain.sasl.jaas.config={login} required user_{USER}="{PASSWORD}";\n'
    )
