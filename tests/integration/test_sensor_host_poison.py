"""One event whose rows cannot be written is put aside; all others, before and after it, go their way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection

from retrain.bus import MemoryBus
from retrain.clock import FakeClock
from retrain.events import Event
from retrain.store import deadletters, decisions, firings, open_store
from retrain.store.firings import FiringFilter, FiringRow
from sensors import Sensor, SensorDocument
from sensors.host.loop import SensorHost
from sensors.host.sink import StoreSink

pytestmark = pytest.mark.integration


class Choosy(StoreSink):
    """Takes no firing of the event `bad`, as a database takes no text that it cannot hold."""

    bad = Event(id="7", source="src", type="t", subject="a").key

    def enlist(self, connection: Connection, rows: Sequence[FiringRow]) -> list[FiringRow]:
        if any(self.bad in row.events for row in rows):
            raise ValueError("this cannot be written")
        return super().enlist(connection, rows)

    def cancel(self, connection: Connection, ids: Iterable[str]) -> object:
        return super().cancel(connection, ids)


def sensor() -> Sensor:
    spec = {
        "dependencies": [{"name": "a", "eventSourceName": "src", "eventName": "a"}],
        "triggers": [{"template": {"name": "t", "log": {}}}],
    }
    body = {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": spec}
    return Sensor(SensorDocument.model_validate(body))


@pytest.mark.parametrize("together", [True, False])
async def test_what_cannot_be_written_is_put_aside_and_the_rest_goes_on(tmp_path: Path, together: bool) -> None:
    async with open_store(tmp_path / "retrain.db") as store, MemoryBus() as bus:
        host = SensorHost(bus, store, FakeClock(), [sensor()], sink=Choosy(store, FakeClock()))
        async with anyio.create_task_group() as group:
            await group.start(host.run)
            events = [Event(id=str(n), source="src", type="t", subject="a", data={"n": n}) for n in range(20)]
            if together:
                await bus.publish_many(events)
            else:
                for one in events:
                    await bus.publish(one)
            with anyio.fail_after(20):
                while host.state().position < 20:  # noqa: ASYNC110 - the host tells nobody
                    await anyio.sleep(0.002)
            group.cancel_scope.cancel()

        page = await store.read(lambda c: firings.listing(c, FiringFilter(), limit=100))
        letters = await store.read(lambda c: deadletters.listing(c))
        (said,) = await store.read(lambda c: decisions.of_event(c, Choosy.bad))

    assert len(page.items) == 19
    assert [letter.kind for letter in letters.items] == ["event"]
    assert said.outcome == "error"
    assert said.reason == "what came of it could not be written down: ValueError"
