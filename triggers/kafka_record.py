"""From a rendered `kafka` action to a record and the cluster that it is for. Pure, but for asking for secrets."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field

from retrain.errors import ConfigError, NotFound, Permanent
from retrain.events import JsonValue
from triggers.action_fields import Fields, Redaction, as_object, fields_of, shown
from triggers.port import Firing, Secrets
from triggers.tls import TlsContexts

WITHOUT_EFFECT = frozenset({"version", "flushFrequency", "partition"})
"""Fields of upstream that change nothing here: the protocol's version is asked of the broker, records that wait are
sent together without waiting for more, and `partition` has no effect upstream either."""
FIELDS = WITHOUT_EFFECT | {
    "url",
    "topic",
    "partitioningKey",
    "payload",
    "body",
    "headers",
    "secureHeaders",
    "requiredAcks",
    "compress",
    "tls",
    "sasl",
}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PORT = 9092
FIRING = "retrain-firing"
"""The header that holds the firing's id: a consumer knows by it the second of two."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Where to connect, as whom, and how to send. Its own key among the open producers, so it is never shown.

    `acks`: -1 all replicas that are in sync, 1 the leader.
    """

    servers: tuple[tuple[str, int], ...]
    mechanism: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None
    acks: int = -1
    compress: bool = False

    @property
    def where(self) -> str:
        """The servers, as messages show them."""
        return ", ".join(f"{host}:{port}" for host, port in self.servers)


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """What to send."""

    topic: str
    value: bytes
    key: bytes | None
    headers: list[tuple[str, bytes]] = field(repr=False)


@dataclass(frozen=True, slots=True)
class KafkaRequest:
    """Both."""

    cluster: KafkaCluster
    record: KafkaRecord
    redact: Redaction


def build_request(firing: Firing, secrets: Secrets, contexts: TlsContexts) -> KafkaRequest:
    """What a `kafka` firing sends, with its secrets looked up now.

    Raises:
        Permanent: the action is nothing that can be sent, or a secret is missing.
    """
    fields = fields_of(firing, "kafka", secrets)
    if fields.action.get("schemaRegistry") is not None:
        raise Permanent("kafka.schemaRegistry is not supported: the payload is sent as JSON")
    fields.only(FIELDS)
    topic = fields.required("topic")
    if not _TOPIC.fullmatch(topic) or topic in {".", ".."}:
        raise Permanent(f"kafka.topic {shown(topic)!r} is none: write up to 249 letters, digits, dots, _ and -")
    value = fields.payload()
    try:
        headers = {**fields.headers(), FIRING: firing.id}
        cluster = _cluster(fields, contexts)
    except (ConfigError, NotFound) as error:
        raise Permanent(str(error)) from error
    coded = [(name, text.encode(errors="replace")) for name, text in headers.items()]
    return KafkaRequest(cluster, KafkaRecord(topic, value, _key(fields), coded), fields.redaction())


def _key(fields: Fields) -> bytes | None:
    if fields.action.get("partitioningKey") is None:
        return None
    return fields.text("partitioningKey").encode(errors="replace")


def _cluster(fields: Fields, contexts: TlsContexts) -> KafkaCluster:
    mechanism, user, password = _sasl(fields)
    return KafkaCluster(
        servers=_servers(fields.required("url")),
        mechanism=mechanism,
        user=user,
        password=password,
        tls=contexts.get(fields, fields.action.get("tls")),
        # As upstream, 0 (no acknowledgement at all) is the default: the firing is done when the record is safe.
        acks=fields.number("requiredAcks", -1, 1) or -1,
        compress=fields.flag("compress"),
    )


def _servers(url: str) -> tuple[tuple[str, int], ...]:
    servers: list[tuple[str, int]] = []
    for part in filter(None, (text.strip() for text in url.split(","))):
        found = _SERVER.fullmatch(part)
        port = int((found and found["port"]) or PORT)
        if found is None or not 0 < port < 65536:
            raise Permanent(f"kafka.url {shown(part)!r} is no broker: write HOST:PORT, several with commas between")
        servers.append((found["host"].strip("[]"), port))
    return tuple(servers)


def _sasl(fields: Fields) -> tuple[str, str, str]:
    written: JsonValue = fields.action.get("sasl")
    if written is None:
        return "", "", ""
    sasl = as_object(written, "kafka.sasl")
    mechanism = sasl.get("mechanism") or "PLAIN"
    if mechanism not in MECHANISMS:
        raise Permanent(
            f"kafka.sasl.mechanism {shown(mechanism)!r} is not supported; there are {', '.join(MECHANISMS)}"
        )
    user = fields.secret(sasl.get("userSecret"), "sasl.userSecret")
    password = fields.secret(sasl.get("passwordSecret"), "sasl.passwordSecret")
    if not user or not password:
        raise Permanent("kafka.sasl needs userSecret and passwordSecret")
    return mechanism, user, password
