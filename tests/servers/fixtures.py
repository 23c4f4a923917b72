"""One of each server for a whole test session: each test makes queues, topics and subjects of its own there.

A test that ends a server starts it again, on the same port and data. Where a server is missing, the tests that ask for
it skip and say why; where CI is true they fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.servers import brokers, forge_servers, launch
from tests.servers.program import Program

if TYPE_CHECKING:
    from tests.servers.cluster_server import ClusterServer
    from tests.servers.http_server import HttpServer
    from tests.servers.kafka_server import KafkaServer
    from tests.servers.kube_lab import Lab
    from tests.servers.kube_server import KubeApi
    from tests.servers.platform_image import PlatformImage
    from tests.servers.prometheus_server import PrometheusServer

Folders = pytest.TempPathFactory


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: Folders) -> Iterator[launch.MinioServer]:
    with launch.minio(tmp_path_factory.mktemp("minio")) as server:
        yield server


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: Folders) -> Iterator[KafkaServer]:
    from tests.servers import kafka_server  # its client takes long to import

    with kafka_server.kafka(tmp_path_factory.mktemp("kafka") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def nats_outside(tmp_path_factory: Folders) -> Iterator[brokers.NatsServer]:
    """A NATS server of somebody else, not that of the bus. It takes ann:hunter22 alone."""
    conf = "authorization { user: ann, password: hunter22 }\n"
    with brokers.nats_server(tmp_path_factory.mktemp("nats") / "data", conf) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: Folders) -> Iterator[brokers.RabbitServer]:
    with brokers.rabbitmq(tmp_path_factory.mktemp("rabbitmq") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def mosquitto(tmp_path_factory: Folders) -> Iterator[brokers.MosquittoServer]:
    with brokers.mosquitto(tmp_path_factory.mktemp("mosquitto") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: Folders) -> Iterator[Program]:
    with brokers.redis(tmp_path_factory.mktemp("redis") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: Folders) -> Iterator[Program]:
    """S3, SQS and SNS. It keeps everything in memory: a kill forgets it."""
    with brokers.moto(tmp_path_factory.mktemp("moto") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: Folders) -> Iterator[Program]:
    with brokers.azurite(tmp_path_factory.mktemp("azurite") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def pubsub_emulator(tmp_path_factory: Folders) -> Iterator[Program]:
    """Pub/Sub. It keeps everything in memory: a kill forgets it."""
    with brokers.pubsub(tmp_path_factory.mktemp("pubsub") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def gcs_and_pubsub(tmp_path_factory: Folders) -> Iterator[tuple[Program, Program]]:
    """Cloud Storage that tells the topic `objects` of the emulator beside it, in the project `retrain-tests`."""
    with brokers.gcs_with_pubsub(tmp_path_factory.mktemp("gcs"), "retrain-tests", "objects") as servers:
        yield servers


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: Folders) -> Iterator[Program]:
    """OpenSSH. `server.data` has `files/` (what is served), `client_key` and `host_key.pub`."""
    with brokers.sshd(tmp_path_factory.mktemp("sshd") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def gitea_server(tmp_path_factory: Folders) -> Iterator[forge_servers.Gitea]:
    with forge_servers.gitea(tmp_path_factory.mktemp("gitea") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: Folders) -> Iterator[Program]:
    with forge_servers.mlflow(tmp_path_factory.mktemp("mlflow") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: Folders) -> Iterator[PrometheusServer]:
    """Prometheus and what it reads. It takes ann:hunter22 alone."""
    from tests.servers import prometheus_server

    with prometheus_server.prometheus(tmp_path_factory.mktemp("prometheus") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def web() -> Iterator[HttpServer]:
    """A server of documents. It takes ann:hunter22 alone."""
    from tests.servers.http_server import http_server

    with http_server(login="ann:hunter22") as server:
        yield server


@pytest.fixture(scope="session")
def kube_api(tmp_path_factory: Folders) -> Iterator[KubeApi]:
    """A Kubernetes API server with its etcd, without nodes."""
    from tests.servers import kube_server

    with kube_server.kube_api(tmp_path_factory.mktemp("kube") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def kube_lab(tmp_path_factory: Folders) -> Iterator[Lab]:
    """An API server, its etcd and Argo's controller, each to be killed alone; without nodes."""
    from tests.servers import kube_lab

    with kube_lab.lab(tmp_path_factory.mktemp("lab") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterServer]:
    """The machine's Kubernetes of one node: pods run there. Each test makes namespaces of its own."""
    from tests.servers import cluster_server

    with cluster_server.cluster() as server:
        yield server


@pytest.fixture(scope="session")
def argo_cluster(cluster: ClusterServer) -> Iterator[ClusterServer]:
    """The machine's cluster, with Argo Workflows' controller in it."""
    from tests.servers import cluster_server

    with cluster_server.argo(cluster) as server:
        yield server


@pytest.fixture(scope="session")
def cluster_minio(cluster: ClusterServer, tmp_path_factory: Folders) -> Iterator[launch.MinioServer]:
    """A MinIO that pods of the machine's cluster reach, and tests too."""
    with launch.minio_for_pods(tmp_path_factory.mktemp("cluster-minio")) as server:
        yield server


@pytest.fixture(scope="session")
def argocd(cluster: ClusterServer) -> Iterator[ClusterServer]:
    """The machine's cluster, with Argo CD in it."""
    from tests.servers import cluster_server

    with cluster_server.argocd(cluster) as server:
        yield server


@pytest.fixture(scope="session")
def flux(cluster: ClusterServer) -> Iterator[ClusterServer]:
    """The machine's cluster, with Flux in it."""
    from tests.servers import cluster_server

    with cluster_server.flux(cluster) as server:
        yield server


@pytest.fixture(scope="session")
def image() -> PlatformImage:
    """The platform as an image, made of this work tree by the Dockerfile."""
    from tests.servers import platform_image

    return platform_image.platform_image()
