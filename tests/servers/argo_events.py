"""Argo Events: a nats-server, an event source with one webhook, and a sensor that creates an object for each event.

Its controller's work is done here: the specs go into the environment of its two services, as it would put them there.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.bus.embedded import find_binary
from tests.servers.certificates import Authority
from tests.servers.launch import absent, free_port
from tests.servers.program import Program, cache

STREAM = """maxMsgs: 50000
maxAge: 168h
maxBytes: -1
replicas: 1
duplicates: 300s
retention: 0
discard: 0
"""
"""As the install manifest has it, with one replica instead of three."""


@dataclass
class ArgoEvents:
    """The three programs. The webhook is at `source.address` + ENDPOINT."""

    bus: Program
    source: Program
    sensor: Program


@contextmanager
def argo_events(
    data: Path, kubeconfig: str, endpoint: str, sensor: Mapping[str, Any], namespace: str
) -> Generator[ArgoEvents]:
    """All three, with this Sensor. Its dependency is the event `in` of the event source `hook`."""
    if not (cache() / "argo_events" / "bin" / "argo-events").exists():
        absent("no argo-events on this machine: run tests/servers/argo_events.sh install")
    bus = _bus(data / "bus")
    port, beside = free_port(), free_port()
    hook = {"webhook": {"in": {"endpoint": endpoint, "method": "POST", "port": str(port), "url": ""}}}
    source = {"metadata": {"name": "hook", "namespace": namespace}, "spec": hook}
    (data / "kubeconfig").write_text(kubeconfig)
    common = {
        "EVENTBUS_CONFIG": _packed({"jetstream": {"url": f"nats://{bus.address}", "streamConfig": STREAM}}),
        "EVENTBUS_SUBJECT": f"eventbus-{namespace}",
        "POD_NAME": "bench-0",
        "KUBECONFIG": str(data / "kubeconfig"),
    }
    environment = common | {"EVENTSOURCE_OBJECT": _packed(source), "METRICS_ADDRESS": f"127.0.0.1:{beside}"}
    made = ArgoEvents(
        bus,
        Program("argo_events", data / "source", port=port, words=["eventsource"], env=environment),
        Program("argo_events", data / "sensor", words=["sensor"], env=common | {"SENSOR_OBJECT": _packed(sensor)}),
    )
    with ExitStack() as stack:
        for program in (made.bus, made.source, made.sensor):
            stack.callback(program.kill)
            program.start()
        yield made


def _bus(data: Path) -> Program:
    data.mkdir(parents=True)
    pair = Authority().sign()
    (data / "tls.crt").write_text(pair.cert)
    (data / "tls.key").write_text(pair.key)
    return Program("argo_events", data, words=["bus", str(find_binary())])


def _packed(value: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()
