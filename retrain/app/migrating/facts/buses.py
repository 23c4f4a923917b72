"""What is different about an EventBus."""

from __future__ import annotations

from retrain.app.migrating.facts.fact import Fact, Found, Verdict


def _shared(found: Found) -> bool:
    return found.body["metadata"].get("name") != "default"


PODS = (
    "a bus is three pods of NATS Streaming, or of JetStream; without `persistence` a full restart loses what they hold",
    "the platform's own JetStream holds the events, on its volume: no pods of a bus",
)

BUSES: tuple[Fact, ...] = (
    Fact(
        "bus-embedded",
        Verdict.BETTER,
        "spec.nats.native",
        *PODS,
    ),
    Fact(
        "bus-embedded",
        Verdict.BETTER,
        "spec.jetstream",
        *PODS,
    ),
    Fact(
        "bus-own-stream",
        Verdict.DIFFERS,
        "spec.jetstreamExotic",
        "all namespaces that share an exotic JetStream share the stream `default`, and each other's events",
        "the platform makes a stream of its own there; what waits in the old one is not read",
    ),
    Fact(
        "one-bus",
        Verdict.DIFFERS,
        "spec",
        "several EventBus objects are several buses; what shares no bus does not meet",
        "a platform has one: that named `default`; the events of all sources are seen by all sensors",
        when=_shared,
    ),
)
