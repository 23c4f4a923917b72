"""EventBus objects on a real API server: which bus the platform runs on, and what is said of those that it does not."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operator_world import Objects, install, namespace, platform, post
from tests.servers.brokers import NatsServer, nats_server
from tests.servers.certificates import Authority
from tests.servers.kube_server import KubeApi
from tests.servers.launch import free_port

pytestmark = pytest.mark.integration

BUS = """\
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {name: $NAME}
spec: $SPEC
"""
EXOTIC = '{jetstreamExotic: {url: "$URL", accessSecret: {name: bus-access, key: auth.yaml}$TLS}}'
TLS = ", tls: {caCertSecret: {name: bus-access, key: ca.pem}}"
SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: hooks}
spec:
  webhook:
    orders: {port: "$PORT", endpoint: /orders, method: POST}
"""


@pytest.fixture(scope="module", autouse=True)
def _crds(kube_api: KubeApi) -> None:
    install(kube_api)


@pytest.fixture
def space(kube_api: KubeApi) -> Iterator[Objects]:
    with namespace(kube_api, "bus") as objects:
        yield objects


def deployed(space: Objects, name: str = "default") -> dict[str, Any]:
    conditions = space.status("EventBus", name).get("conditions") or ()
    return next((one for one in conditions if one["type"] == "Deployed"), {})


def keep_secret(space: Objects, text: str, **more: str) -> None:
    texts = {"auth.yaml": text, **{name.replace("_", "."): value for name, value in more.items()}}
    data = {name: b64encode(value.encode()).decode() for name, value in texts.items()}
    body = {"metadata": {"name": "bus-access"}, "data": data}
    space.api.ask("POST", f"/api/v1/namespaces/{space.namespace}/secrets", body)


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[NatsServer, str]]:
    """A NATS with TLS that takes ann:hunter22, and the PEM of who signed its certificate."""
    authority = Authority()
    cert, key = authority.sign().write(tmp_path, "nats")
    conf = f"""authorization {{ user: ann, password: hunter22 }}
tls {{ cert_file: "{cert}", key_file: "{key}" }}
"""
    with nats_server(tmp_path / "nats", conf) as server:
        yield server, authority.cert


def test_a_jetstream_that_is_there_is_the_bus_with_the_credentials_and_authority_of_its_secrets(
    tmp_path: Path, kube_api: KubeApi, space: Objects, secured: tuple[NatsServer, str]
) -> None:
    nats, authority = secured
    port, url = free_port(), f"nats://{nats.address}"
    keep_secret(space, "username: ann\npassword: hunter22\n", ca_pem=authority)
    space.apply(BUS, NAME="default", SPEC=EXOTIC.replace("$URL", url).replace("$TLS", TLS))
    space.apply(SOURCE, PORT=port)

    with platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace) as running:
        running.wait(lambda: post(port, "/orders", {"day": 1}), "the event is taken")
        running.wait(lambda: deployed(space).get("reason") == "Running", "the status says which bus it is")
        said = deployed(space)
        space.apply(BUS, NAME="default", SPEC="{jetstream: {version: latest}}")
        running.wait(lambda: deployed(space).get("reason") == "RestartNeeded", "another one needs a restart")

    assert f"tls://{nats.address}" in said["message"]
    assert "hunter22" not in running.last_lines(500)
    assert list(tmp_path.rglob("store.db")), "the data directory is below"
    assert not list(tmp_path.rglob("bus")), "no server of our own was started"


def test_what_argo_events_would_run_itself_is_the_platforms_own_bus_and_what_is_not_built_is_said(
    tmp_path: Path, kube_api: KubeApi, space: Objects
) -> None:
    space.apply(BUS, NAME="default", SPEC="{nats: {native: {replicas: 3}}}")
    space.apply(BUS, NAME="other", SPEC='{kafka: {url: "kafka:9092"}}')

    with platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace) as running:
        running.wait(lambda: deployed(space).get("reason") == "Running", "the status says which bus it is")
        running.wait(lambda: deployed(space, "other").get("reason") == "NotBuilt", "the status says what is not built")

    assert "own JetStream" in deployed(space)["message"]
    assert "spec.kafka" in deployed(space, "other")["message"]
    assert deployed(space, "other")["status"] == "False"


def test_credentials_that_cannot_be_used_end_the_start_without_being_shown(
    tmp_path: Path, kube_api: KubeApi, space: Objects
) -> None:
    keep_secret(space, "pasword: hunter22")
    space.apply(BUS, NAME="default", SPEC=EXOTIC.replace("$URL", "nats://127.0.0.1:1").replace("$TLS", ""))

    said = pytest.raises(AssertionError, match="neither username and password nor token")
    with said as ended, platform(tmp_path, kube_api.kubeconfig(), "--namespace", space.namespace):
        pass

    assert "hunter22" not in str(ended.value)
