"""The bus: the durable, replayable log that every event goes through.

A source publishes and is answered when the event is safe; a reader walks the log by position and keeps its own cursor.
Here belong the port (`Bus`), its adapters (memory, NATS JetStream) and the NATS server that Retrain starts for itself.
Kafka would be one more file. What an event means is none of the bus's business.
"""

from __future__ import annotations

from retrain.bus.embedded import EmbeddedServer, embedded
from retrain.bus.memory import MemoryBus
from retrain.bus.nats import NatsBus, open_nats
from retrain.bus.port import Bounds, Bus, Published, Record, Usage
from retrain.bus.settings import BusSettings

__all__ = [
    "Bounds",
    "Bus",
    "BusSettings",
    "EmbeddedServer",
    "MemoryBus",
    "NatsBus",
    "Published",
    "Record",
    "Usage",
    "embedded",
    "open_nats",
]
