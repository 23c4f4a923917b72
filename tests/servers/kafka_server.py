"""A real Kafka broker for tests: an address in RETRAIN_TEST_KAFKA (host:port, plain text), or one that is started from
what `tests/servers/kafka.sh install` keeps in the cache folder. Where neither is, tests skip with the reason, or fail
where CI is true."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers.certificates import Authority
from tests.servers.launch import absent, free_port, wait_until

with warnings.catch_warnings():
    # Of Python 3.11 only, and at the library's first import only: it reads its own files in the old way.
    warnings.filterwarnings("ignore", "(read|open)_text is deprecated", DeprecationWarning)
    from kafka import KafkaAdminClient, KafkaConsumer
    from kafka.admin import NewTopic

SCRIPT = Path(__file__).with_name("kafka.sh")
USER, PASSWORD = "ann", "hunter22"


@dataclass(frozen=True)
class KafkaServer:
    """A running broker. `tls` and `sasl` are its other addresses; None where it was not started here."""

    address: str
    tls: str | None = None
    sasl: str | None = None
    authority: Authority | None = None

    def make_topic(self, name: str, partitions: int = 1, **settings: str) -> None:
        admin = KafkaAdminClient(bootstrap_servers=self.address)
        try:
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=settings)])
        finally:
            admin.close()

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
    elif shutil.which("java") and _libs().is_dir():
        with started(data) as server:
            yield server
    else:
        absent("no Kafka: set RETRAIN_TEST_KAFKA, or run tests/servers/kafka.sh install (it needs Java 17 and Maven)")


@contextmanager
def started(data: Path, port: int | None = None) -> Generator[KafkaServer]:
    """A broker of one's own, on `port` if one is given, so that a test may end it."""
    data.mkdir(parents=True, exist_ok=True)
    authority = Authority()
    plain, tls, sasl, controller = port or free_port(), free_port(), free_port(), free_port()
    (data / "more.properties").write_text(_more(authority))
    output = (data / "output").open("wb")
    process = subprocess.Popen(
        ["bash", SCRIPT, "start", str(plain), str(data), str(controller)],
        env={
            **os.environ,
            "KAFKA_LISTENERS": f"SSL://127.0.0.1:{tls},SASL_PLAINTEXT://127.0.0.1:{sasl}",
            "KAFKA_PROPERTIES": str(data / "more.properties"),
        },
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    addresses = (f"127.0.0.1:{number}" for number in (plain, tls, sasl))
    try:
        wait_until(lambda: _ready(process, data / "output"), f"Kafka on {plain}")
        yield KafkaServer(*addresses, authority)
    finally:
        process.kill()
        process.wait()
        output.close()


def _libs() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "retrain-servers"
    return Path(os.environ.get("RETRAIN_SERVERS") or cache) / "kafka-4.4.0" / "libs"


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


def _ready(process: subprocess.Popen[bytes], output: Path) -> bool:
    said = output.read_text()
    if process.poll() is not None:
        raise RuntimeError(f"Kafka ended at its start: {said[-2000:]}")
    return "Kafka Server started" in said
