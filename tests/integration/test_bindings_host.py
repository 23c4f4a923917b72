"""WorkflowEventBindings over a real store: an event makes its run once, and what fails is a dead letter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from pipelines.host.binding import compile_binding, workflow_of
from pipelines.host.bindings import SOURCE, BindingHost
from pipelines.spec import normalize
from retrain.bus import MemoryBus
from retrain.clock import SystemClock
from retrain.errors import ConfigError
from retrain.events import Event
from retrain.store import Store, deadletters, open_store, runs
from retrain.web.argo_events import ArgoEvents, is_argo_event

PARAMETERS = [{"name": "appellation", "valueFrom": {"event": "payload.appellation"}}, {"name": "plain", "value": "1"}]


def binding(selector: str = 'payload.appellation != ""', name: str = "consumer", **submit: Any) -> dict[str, Any]:
    submit = {"workflowTemplateRef": {"name": "template"}, "arguments": {"parameters": PARAMETERS}, **submit}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowEventBinding",
        "metadata": {"name": name},
        "spec": {"event": {"selector": selector}, "submit": submit},
    }


def data(payload: Any, **more: Any) -> dict[str, Any]:
    return {"namespace": "argo", "discriminator": "d", "metadata": {"x-kind": ["push"]}, "payload": payload, **more}


def event(number: int, payload: Any) -> Event:
    return Event(id=f"e-{number}", source=SOURCE, type="x", subject="d", data=data(payload))


class Place:
    def __init__(self, store: Store, bus: MemoryBus) -> None:
        self.store, self.bus = store, bus

    @asynccontextmanager
    async def running(self, *documents: dict[str, Any]) -> AsyncIterator[BindingHost]:
        host = BindingHost(self.bus, self.store, SystemClock(), documents)
        async with anyio.create_task_group() as group:
            await group.start(host.run)
            yield host
            group.cancel_scope.cancel()

    async def listed(self) -> list[runs.RunRow]:
        return (await self.store.read(lambda c: runs.listing(c, runs.RunFilter()))).items

    async def until(self, fits: Callable[[list[runs.RunRow]], bool]) -> list[runs.RunRow]:
        with anyio.fail_after(20):
            while not fits(found := await self.listed()):  # noqa: ASYNC110
                await anyio.sleep(0.01)
        return found


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with open_store(tmp_path / "store.db") as store, MemoryBus() as bus:
        yield Place(store, bus)


def decide(document: dict[str, Any], payload: Any, **more: Any) -> dict[str, Any] | None:
    return workflow_of(compile_binding(normalize(document)), data(payload, **more), "key")


def test_values_of_an_event_become_parameters_texts_as_they_are_and_the_rest_as_json() -> None:
    for value, text in (("a b", "a b"), (3, "3"), ({"x": [1, None]}, '{"x":[1,null]}'), (True, "true")):
        made = decide(binding("true"), {"appellation": value})
        assert made is not None
        assert made["spec"]["arguments"]["parameters"] == [
            {"name": "appellation", "value": text},
            {"name": "plain", "value": "1"},
        ]


def test_names_labels_and_annotations_are_expressions() -> None:
    metadata = {
        "name": "'run-' + payload.appellation",
        "labels": {"kind": 'metadata["x-kind"][0]'},
        "annotations": {"from": "discriminator"},
    }
    made = decide(binding("true", metadata=metadata), {"appellation": "a"})

    assert made is not None
    assert made["metadata"] == {
        "name": "run-a",
        "labels": {"kind": "push", "workflows.argoproj.io/workflow-event-binding": "consumer"},
        "annotations": {"from": "d"},
    }


def test_an_event_that_the_selector_does_not_want_makes_nothing() -> None:
    assert decide(binding(), {"appellation": ""}) is None


@pytest.mark.parametrize("selector", ["payload.appellation", "payload.a.b.c == 1", "1"])
def test_a_selector_that_gives_no_truth_is_an_error(selector: str) -> None:
    with pytest.raises(ConfigError):
        decide(binding(selector), {"appellation": "x"})


async def test_an_event_makes_its_run_once_however_often_it_is_read(place: Place) -> None:
    async with place.running(binding()):
        await place.bus.publish(event(1, {"appellation": "one"}))
        await place.bus.publish(event(2, {"appellation": ""}))
        await place.bus.publish(event(3, {"appellation": "three"}))
        await place.until(lambda found: len(found) == 2)
    async with place.running(binding()):
        await place.bus.publish(event(4, {"appellation": "four"}))
        found = await place.until(lambda found: len(found) == 3)

    assert {row.labels["retrain.dev/event"] for row in found} == {"e-1", "e-3", "e-4"}
    assert {row.workflow for row in found} == {"template"}
    assert all((row.parent or "").startswith("Event/") for row in found)


async def test_what_fails_is_a_dead_letter_with_the_reason_and_the_next_event_goes_on(place: Place) -> None:
    async with place.running(binding("payload.appellation.size > 1", "bad"), binding(name="good")):
        await place.bus.publish(event(1, {"appellation": "one"}))
        await place.until(lambda found: len(found) == 1)

    (letter,) = (await place.store.read(deadletters.listing)).items
    assert letter.origin == "WorkflowEventBinding/bad"
    assert b"e-1" in letter.body


async def test_events_of_before_the_first_binding_are_nobodys(place: Place) -> None:
    async with place.running() as host:
        await place.bus.publish(event(1, {"appellation": "early"}))
        host.apply([binding()])
        with anyio.fail_after(10):
            while not await place.listed():
                await place.bus.publish(event(2 + int(anyio.current_time() * 1000), {"appellation": "late"}))
                await anyio.sleep(0.01)

    assert "e-1" not in {row.labels["retrain.dev/event"] for row in await place.listed()}


async def post(
    app: ArgoEvents, path: str, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
) -> tuple[int, bytes]:
    """One request, as a server hands it to the application."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": headers or []}
    assert is_argo_event(scope)
    await app(scope, receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


async def test_the_endpoint_of_argo_takes_any_json_and_answers_once_the_bus_has_it(place: Place) -> None:
    app = ArgoEvents(place.bus, SystemClock(), 1000)
    headers = [(b"x-github-delivery", b"7"), (b"x-kind", b"push"), (b"authorization", b"Bearer secret")]
    for _ in range(2):
        assert await post(app, "/api/v1/events/argo/git", b'{"a": 1}', headers) == (200, b"{}")
    assert (await post(app, "/api/v1/events/argo/git", b"{"))[0] == 400
    assert (await post(app, "/api/v1/events/argo/git", b"[" + b"1," * 600))[0] == 413
    assert (await post(app, "/api/v1/events/argo/", b""))[0] == 200

    records = await place.bus.read(0)
    assert [record.event.subject for record in records] == ["git", None]
    first = records[0].event
    assert first.source == SOURCE
    assert first.data["metadata"].keys() == {"x-github-delivery", "x-kind"}
    assert first.data["payload"] == {"a": 1}
