"""Joins and windows once more, slow and plain: what the sensors room does fast is compared with this.

Written from the rules in docs/sensors.md, not from the code: lists, a scan over all cells for the next timer, and every
condition evaluated anew each time. Times are whole seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Spec = dict[str, Any]


@dataclass
class Given:
    """An event: when it arrived, its address, its id and its data."""

    at: int
    source: str
    name: str
    id: str
    data: dict[str, Any]


@dataclass
class Came:
    """What came of it all: (time, trigger, key, ids) of firings and of what was given up."""

    firings: list[tuple[int, str, str, tuple[str, ...]]] = field(default_factory=list)
    expired: list[tuple[int, str, str, tuple[str, ...]]] = field(default_factory=list)


@dataclass
class Cell:
    """What is collected: (dependency, event, when it came)."""

    opened: int
    members: list[tuple[str, Given, int]] = field(default_factory=list)
    last: int = 0
    step: int = 0

    def has(self) -> set[str]:
        return {dependency for dependency, _, _ in self.members}


class Reference:
    """A sensor's dependencies and triggers as plain mappings, in the words of retrain.dev/v1; lengths in seconds."""

    def __init__(self, dependencies: list[Spec], triggers: list[Spec]) -> None:
        self.dependencies = dependencies
        self.triggers = triggers
        self.order = [one["name"] for one in dependencies]
        self.batches: dict[tuple[str, str], Cell] = {}
        self.joins: dict[tuple[str, str], Cell] = {}
        self.seen: dict[tuple[str, str], int] = {}
        self.counts: dict[tuple[str, str], int] = {}
        self.came = Came()

    def run(self, events: list[Given], until: int) -> Came:
        for event in events:
            self.advance(event.at - 1)
            # A timer that is due at the very second of an event comes before it.
            self.advance(event.at)
            self.take(event)
        self.advance(until)
        return self.came

    # --- events ---

    def take(self, event: Given) -> None:
        for one in self.dependencies:
            if (one["source"], one["event"]) != (event.source, event.name):
                continue
            key = str(event.data[one["key"]]) if one.get("key") else ""
            if "dedupe" in one:
                mark = (one["name"], str(event.data[one["dedupe"]["key"]]))
                if self.seen.get(mark, -1) > event.at:
                    continue
                self.seen[mark] = event.at + one["dedupe"]["ttl"]
            if one.get("window") is None:
                self.feed(one["name"], key, [event], event.at)
                continue
            cell = self.batches.setdefault((one["name"], key), Cell(event.at))
            cell.members.append((one["name"], event, event.at))
            cell.last = event.at
            if self.is_complete(one["window"], cell, True, event.at):
                self.close_batch((one["name"], key), event.at)

    def close_batch(self, which: tuple[str, str], now: int) -> None:
        cell = self.batches.pop(which)
        self.feed(which[0], which[1], [event for _, event, _ in cell.members], now)

    def feed(self, dependency: str, key: str, events: list[Given], now: int) -> None:
        for trigger in self.triggers:
            if dependency in self.names(trigger):
                self.offer(trigger, dependency, key, events, now)

    def offer(self, trigger: Spec, dependency: str, key: str, events: list[Given], now: int) -> None:
        which = (trigger["name"], key)
        if trigger.get("sequence"):
            cell = self.joins.get(which) or Cell(now)
            if trigger["sequence"][cell.step] != dependency:
                return
            self.joins[which] = cell
            cell.members += [(dependency, event, now) for event in events]
            cell.step += 1
            if cell.step == len(trigger["sequence"]):
                self.fire(trigger, key, now)
            return
        cell = self.joins.setdefault(which, Cell(now))
        if trigger.get("window") is None:
            cell.members = [one for one in cell.members if one[0] != dependency]
        cell.members += [(dependency, event, now) for event in events]
        cell.last = now
        if self.is_complete(trigger.get("window"), cell, self.holds(trigger, cell), now):
            self.fire(trigger, key, now)

    # --- rules ---

    def names(self, trigger: Spec) -> set[str]:
        if trigger.get("sequence"):
            return set(trigger["sequence"])
        if not trigger.get("conditions"):
            return set(self.order)
        return set(re.findall(r"[a-z]+", trigger["conditions"]))

    def holds(self, trigger: Spec, cell: Cell) -> bool:
        has = cell.has()
        if not trigger.get("conditions"):
            return set(self.order) <= has
        text = re.sub(r"[a-z]+", lambda match: str(match[0] in has), trigger["conditions"])
        text = text.replace("&&", " and ").replace("||", " or ").replace("!", " not ")
        return bool(eval(text, {"__builtins__": {}}))

    def is_complete(self, window: Spec | None, cell: Cell, holds: bool, now: int) -> bool:
        if not holds:
            return False
        if window is None:
            return True
        closers = [
            len(cell.members) >= window["count"] if "count" in window else None,
            sum(event.data["n"] for _, event, _ in cell.members) >= window["sum"] if "sum" in window else None,
            self.is_whole(window["expect"], cell) if "expect" in window else None,
        ]
        said = [one for one in closers if one is not None]
        if any(said):
            return True
        if not said and "quiet" not in window and "maxWait" not in window:
            return True
        return "maxWait" in window and now >= cell.opened + window["maxWait"]

    def is_whole(self, expect: Spec, cell: Cell) -> bool:
        marks = {str(event.data["m"]) for _, event, _ in cell.members}
        if "of" in expect:
            return len(marks & set(expect["of"])) >= len(set(expect["of"])) - expect.get("missing", 0)
        return len(marks) >= expect["count"] - expect.get("missing", 0)

    def fire(self, trigger: Spec, key: str, now: int) -> None:
        cell = self.joins.pop((trigger["name"], key))
        if every := trigger.get("every"):
            n = self.counts.get((trigger["name"], key), 0) + 1
            self.counts[trigger["name"], key] = n % every
            if n < every:
                return
        self.came.firings.append((now, trigger["name"], key, self.ids(cell)))

    def ids(self, cell: Cell) -> tuple[str, ...]:
        ordered = sorted(cell.members, key=lambda one: self.order.index(one[0]))
        return tuple(dict.fromkeys(event.id for _, event, _ in ordered))

    # --- timers ---

    def advance(self, now: int) -> None:
        while due := min(self.timers(now), default=None):
            at, rank, which = due
            if rank == 0:
                self.tick_batch(which, at)
            else:
                self.tick_join(which, at)

    def timers(self, now: int) -> Iterator[tuple[int, int, tuple[str, str]]]:
        for which, cell in self.batches.items():
            window = next(one["window"] for one in self.dependencies if one["name"] == which[0])
            if (due := self.due(window, cell, True)) is not None and due <= now:
                yield due, 0, which
        for which, cell in self.joins.items():
            trigger = next(one for one in self.triggers if one["name"] == which[0])
            window = trigger.get("window") or trigger.get("limits")
            if (due := self.due(window, cell, self.holds(trigger, cell))) is not None and due <= now:
                yield due, 1, which

    def due(self, window: Spec | None, cell: Cell, holds: bool) -> int | None:
        if window is None:
            return None
        times = [cell.opened + window["within"]] if "within" in window else []
        if holds and "quiet" in window:
            times.append(cell.last + window["quiet"])
        if holds and "maxWait" in window:
            times.append(cell.opened + window["maxWait"])
        return min(times, default=None)

    def is_over(self, window: Spec, cell: Cell, holds: bool, now: int) -> bool:
        """Whether a timer completes it, rather than giving it up."""
        quiet = "quiet" in window and cell.last + window["quiet"] <= now
        waited = "maxWait" in window and cell.opened + window["maxWait"] <= now
        return holds and (quiet or waited)

    def tick_batch(self, which: tuple[str, str], now: int) -> None:
        cell = self.batches[which]
        window = next(one["window"] for one in self.dependencies if one["name"] == which[0])
        if self.is_over(window, cell, True, now) or window.get("onTimeout") == "fire":
            self.close_batch(which, now)
        else:
            del self.batches[which]

    def tick_join(self, which: tuple[str, str], now: int) -> None:
        cell = self.joins[which]
        trigger = next(one for one in self.triggers if one["name"] == which[0])
        window = trigger.get("window") or trigger.get("limits")
        assert window is not None
        if self.is_over(window, cell, self.holds(trigger, cell), now) or window.get("onTimeout") == "fire":
            self.fire(trigger, which[1], now)
        else:
            self.came.expired.append((now, which[0], which[1], self.ids(self.joins.pop(which))))
