"""Random sensors and events for them: keys, windows, silence, sequences, filters, and every limit."""

from __future__ import annotations

import random
from typing import Any

from retrain.events import Event

NAMES = ("a", "b", "c")
CONDITIONS = ("", "a", "a && b", "a || b", "(a && b) || c", "a && !b", "a && b && c")
LIMITS = ("concurrency", "cooldown", "rateLimit", "budget", "schedule")


class Dice:
    """Throws sensors and events. Everything comes from `chance`, so a seed gives the same ones again.

    `tells`: whether the sensors may tell events themselves (silence, alerts).
    """

    def __init__(self, chance: random.Random, *, tells: bool = True) -> None:
        self._chance = chance
        self._tells = tells
        self._number = 0
        self._old: list[Event] = []

    def _maybe(self, share: float) -> bool:
        return self._chance.random() < share

    def _s(self, most: int) -> str:
        return f"{self._chance.randint(1, most)}s"

    # --- a sensor ---

    def sensor(self, name: str) -> dict[str, Any]:
        """A document of retrain.dev/v1."""
        keyed = self._maybe(0.6)
        dependencies = [self._dependency(one, keyed=keyed) for one in NAMES]
        triggers = [self._trigger(f"t{n}", keyed=keyed) for n in range(self._chance.randint(1, 3))]
        if self._tells:
            dependencies.append(self._silent(keyed=keyed))
            triggers.append({"template": {"name": "silent", "log": {}, "conditions": "none"}})
        return {
            "apiVersion": "retrain.dev/v1",
            "kind": "Sensor",
            "metadata": {"name": name},
            "spec": {"dependencies": dependencies, "triggers": triggers},
        }

    def _dependency(self, name: str, *, keyed: bool) -> dict[str, Any]:
        one: dict[str, Any] = {"name": name, "eventSourceName": "src", "eventName": name}
        if keyed:
            one["key"] = "k"
        if self._maybe(0.2):
            one["dedupe"] = {"key": "d", "ttl": self._s(40)}
        if self._maybe(0.2):
            one["window"] = self._window({"count": self._chance.randint(1, 3)})
        if self._maybe(0.2):
            one["filters"] = {"data": [{"path": "n", "type": "number", "comparator": ">", "value": ["1"]}]}
        return one

    def _silent(self, *, keyed: bool) -> dict[str, Any]:
        absent = {"for": self._s(60), "repeat": self._maybe(0.3)}
        one = {"name": "none", "eventSourceName": "src", "eventName": "a", "absent": absent}
        return one | ({"key": "k"} if keyed else {})

    def _window(self, window: dict[str, Any]) -> dict[str, Any]:
        if self._maybe(0.4):
            window["count"] = self._chance.randint(1, 4)
        if self._maybe(0.2):
            window["sum"] = {"path": "n", "atLeast": self._chance.randint(1, 12)}
        if self._maybe(0.2):
            window["expect"] = self._chance.choice([{"of": ["u", "v"], "by": "d"}, {"count": 2, "by": "d"}])
        if self._maybe(0.3):
            window["quiet"] = self._s(30)
        if self._maybe(0.3):
            window["maxWait"] = self._s(60)
        if self._maybe(0.5):
            window["within"] = self._s(90)
            window["onTimeout"] = self._chance.choice(["drop", "fire", *(["alert"] if self._tells else [])])
        return window

    def _trigger(self, name: str, *, keyed: bool) -> dict[str, Any]:
        one: dict[str, Any] = {"template": {"name": name, "log": {}}}
        if self._maybe(0.15):
            order = self._chance.sample(NAMES, self._chance.randint(2, 3))
            one["sequence"] = {"order": order, "within": self._s(60), "onTimeout": "drop"}
        else:
            one["template"]["conditions"] = self._chance.choice(CONDITIONS)
            if self._maybe(0.6):
                one["window"] = self._window({})
        if self._maybe(0.2):
            one["every"] = self._chance.randint(2, 3)
        for limit in LIMITS:
            if self._maybe(0.25):
                one[limit] = self._limit(limit, keyed=keyed)
        return one

    def _limit(self, kind: str, *, keyed: bool) -> dict[str, Any]:
        chance = self._chance
        match kind:
            case "concurrency":
                how = chance.choice(["queue", "skip", "replace", "coalesce"])
                key = {"key": "key"} if keyed and self._maybe(0.5) else {}
                return {"limit": chance.randint(1, 2), "onConflict": how, **key}
            case "cooldown":
                return {"for": self._s(40), "onConflict": chance.choice(["queue", "skip", "coalesce"])}
            case "rateLimit":
                mode = chance.choice(["throttle", "drop"])
                return {"unit": "Minute", "requestsPerUnit": chance.randint(1, 3), "mode": mode}
            case "budget":
                return {"runs": chance.randint(1, 4), "per": "1m", "onExceed": chance.choice(["queue", "skip"])}
            case _:
                closed = {"start": f"12:0{chance.randint(1, 4)}", "stop": f"12:0{chance.randint(5, 9)}"}
                return {"closed": [closed], "onConflict": chance.choice(["queue", "skip", "coalesce"])}

    # --- events ---

    def event(self) -> Event:
        """One that concerns the sensors, or not; now and then one that was there before."""
        chance = self._chance
        if self._old and self._maybe(0.05):
            return chance.choice(self._old)
        self._number += 1
        data = {"k": chance.choice("pqr"), "d": chance.choice("uvw"), "n": chance.randint(0, 5)}
        if self._maybe(0.05):
            del data["k"]
        made = Event(id=f"e{self._number}", source="src", type="test", subject=chance.choice("aaabbcx"), data=data)
        self._old.append(made)
        return made
