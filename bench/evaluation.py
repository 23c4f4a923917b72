"""What a decision costs by itself, on one core: pure evaluation, beside the same filter written by hand; the languages;
a replay of a recorded log.

    python -m bench.evaluation [--events N] [--json]

Rates are events per second. "peer" is a plain Python function with the same answer, on an event that is parsed already.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.report import Row, finish
from retrain.app.sensing.replaying import Request, run
from retrain.events import Event
from retrain.expressions.exprlang import compile_expr
from retrain.expressions.gotemplate import compile_template
from retrain.expressions.govaluate import compile_govaluate
from retrain.expressions.jq_program import compile_jq
from retrain.expressions.lua_script import compile_lua
from retrain.store import events as seen
from retrain.store import open_store
from retrain.store.events import SeenEvent
from sensors import Sensor, SensorDocument
from sensors.core.cells import Cell, CellId

ROUNDS = 3
DAY = timedelta(days=1)
NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
DATA: dict[str, Any] = {
    "header": {"Content-Type": ["application/json"]},
    "body": {"rows": 1200, "region": "eu", "day": "2026-11-20", "files": [{"key": "a.csv", "size": 7}]},
}
ONE = {"data": [{"path": "body.rows", "type": "number", "comparator": ">", "value": ["1000"]}]}
TWO = {
    **ONE,
    "exprs": [
        {
            "expr": "rows < 2000 && region == 'eu'",
            "fields": [{"name": "rows", "path": "body.rows"}, {"name": "region", "path": "body.region"}],
        }
    ],
}


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--events", type=int, default=100_000)
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    finish("evaluation", [*evaluation(given.events), *languages(), *replays(given.events)])


def document(**parts: Any) -> SensorDocument:
    dependency = {"name": "a", "eventSourceName": "lake", "eventName": "files", **parts}
    spec = {"dependencies": [dependency], "triggers": [{"template": {"name": "t", "log": {}}}]}
    body = {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": spec}
    return SensorDocument.model_validate(body)


def event(number: int) -> Event:
    return Event(id=f"e{number}", source="lake", subject="files", type="webhook", time=NOW, data=DATA)


# --- pure evaluation ---


def evaluation(count: int) -> Iterator[Row]:
    events = [event(number) for number in range(min(count, 20_000))]
    cases = (
        ("one data filter, passes and fires", {"filters": ONE}, by_hand_one, 100_000),
        ("one data filter, refuses", {"filters": refusing(ONE)}, by_hand_one, 100_000),
        ("data + expr filter, refuses", {"filters": refusing(TWO)}, by_hand_two, 40_000),
        ("data + expr filter, passes and fires", {"filters": TWO}, by_hand_two, 40_000),
    )
    for what, parts, by_hand, goal in cases:
        sensor = Sensor(document(**parts))
        ours, median = rate(lambda sensor=sensor: step_all(sensor, events), len(events))
        peer, _ = rate(lambda by_hand=by_hand: [by_hand(one) for one in events], len(events))
        yield Row(what, ours, "events/s", peer, "Python by hand", goal, median=median)


def refusing(filters: dict[str, Any]) -> dict[str, Any]:
    return {**filters, "data": [{**filters["data"][0], "value": ["5000"]}]}


def step_all(sensor: Sensor, events: list[Event]) -> None:
    def look(_cell: CellId) -> Cell | None:
        return None

    def load(_key: str) -> Event:
        raise AssertionError("nothing waits")

    for one in events:
        sensor.step(look, one, NOW, load)


def by_hand_one(one: Event) -> bool:
    return one.source == "lake" and one.subject == "files" and one.data["body"]["rows"] > 1000  # type: ignore[index,call-overload,operator]


def by_hand_two(one: Event) -> bool:
    return by_hand_one(one) and one.data["body"]["rows"] < 2000 and one.data["body"]["region"] == "eu"  # type: ignore[index,call-overload,operator]


# --- languages ---


def languages() -> Iterator[Row]:
    text = json.dumps(DATA)
    body = DATA["body"]
    jq, lua = compile_jq(".body + {day: .body.day}"), compile_lua("return event.body.rows > 1000")
    lua_table = compile_lua("event.body.rows = 1 return event")
    govaluate, expr = compile_govaluate("rows > 1000 && region == 'eu'"), compile_expr("rows > 1000 && region == 'eu'")
    template = compile_template("{{ .Input.body.day | upper }}")
    given: dict[str, Any] = {"Input": DATA}
    for what, times, work in (
        ("govaluate", 50_000, lambda: govaluate.evaluate(body)),
        ("expr", 50_000, lambda: expr.evaluate(body)),
        ("Go template with sprig", 20_000, lambda: template.render(given)),
        ("jq transform", 3_000, lambda: jq.transform(text)),
        ("Lua filter", 1_000, lambda: lua.passes(text)),
        ("Lua transform", 1_000, lambda: lua_table.transform(text)),
    ):
        best, median = rate(lambda work=work, times=times: repeat(work, times), times)
        yield Row(what, best, "calls/s", median=median)


def repeat(work: Callable[[], object], times: int) -> None:
    for _ in range(times):
        work()


# --- replay ---


def replays(count: int) -> Iterator[Row]:
    with recorded(count) as store:
        for what, parts in (
            ("replay, one filter that refuses", {"filters": refusing(ONE)}),
            ("replay, a join by key", {}),
        ):
            wanted = document(**parts)
            if not parts:
                wanted = joined()
            best, median = rate(lambda wanted=wanted: run(store, Request(), (wanted, None), NOW + DAY), count)
            yield Row(what, best, "events/s", goal=50_000, median=median)


def joined() -> SensorDocument:
    dependencies = [
        {"name": "a", "eventSourceName": "lake", "eventName": "files", "key": "body.day"},
        {"name": "b", "eventSourceName": "lake", "eventName": "labels", "key": "body.day"},
    ]
    spec = {
        "dependencies": dependencies,
        "triggers": [{"template": {"name": "t", "log": {}}, "window": {"within": "1d"}}],
    }
    body = {"apiVersion": "retrain.dev/v1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": spec}
    return SensorDocument.model_validate(body)


@contextmanager
def recorded(count: int) -> Iterator[Path]:
    """A store with so many events of one log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        asyncio.run(fill(path, count))
        yield path


async def fill(path: Path, count: int) -> None:
    async with open_store(path) as store:
        for start in range(0, count, 5000):
            rows = [
                SeenEvent(event(number), number + 1, NOW + timedelta(milliseconds=number))
                for number in range(start, min(start + 5000, count))
            ]
            await store.write(lambda c, rows=rows: seen.add(c, rows))


def rate(work: Callable[[], object], count: int) -> tuple[float, float]:
    """How many a second: the best of some rounds, for other programs share the machine, and the median."""
    found: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        found.append(count / (time.perf_counter() - began))
    return max(found), statistics.median(found)


if __name__ == "__main__":
    sys.exit(main())
