"""Who may run now: steps of many runs share the places, cores, memory and devices of one machine.

Waiting pods of one run that ask for the same wait in one line, so that finding the next one costs as much with ten
thousand waiting as with ten. The run with the fewest pods running goes first, the longest waiting among equals. One
that does not fit is passed by others that do; after `PATIENCE` times nobody gets any more of what it lacks, until it
fits: so a large one among many small ones is not starved.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count

import anyio

from pipelines.core.plan import Plan
from pipelines.local.demand import STEPS, is_device, pod_demand
from pipelines.local.machine import Capacity
from pipelines.local.reach import reachable_templates
from retrain.errors import ConfigError

PATIENCE = 16
"""How often a waiting pod is passed by others before what it lacks is kept for it."""
_ROUNDING = 1e-6

Devices = Mapping[str, tuple[str, ...]]
"""Resource -> the numbers of the devices that a pod has: `{"nvidia.com/gpu": ("0", "3")}`."""


@dataclass(slots=True)
class Grant:
    """What a pod holds while it runs."""

    run_id: str
    amounts: Mapping[str, float]
    devices: Devices


@dataclass(slots=True)
class _Waiting:
    run_id: str
    amounts: Mapping[str, float]
    order: int
    passed: int = 0
    given: Grant | None = None
    woken: anyio.Event = field(default_factory=anyio.Event)


_Line = tuple[str, tuple[tuple[str, float], ...]]


class Slots:
    """The places of one machine. On the event loop."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._free = dict(capacity.amounts)
        self._devices = {name: list(ids) for name, ids in capacity.devices.items()}
        self._lines: dict[_Line, deque[_Waiting]] = {}
        self._running: Counter[str] = Counter()
        self._order = count()

    def take(self, run_id: str, demand: Mapping[str, float]) -> Grant | None:
        """What a pod of this run needs, if it is there and nobody waits for anything.

        Raises:
            ConfigError: it asks for more than the machine has.
        """
        if self._lines:
            return None
        amounts = self._capacity.share(demand)
        if self._free[STEPS] < 1 or self._missing(amounts):
            return None
        return self._take(run_id, amounts, self._pick(amounts))

    async def acquire(self, run_id: str, demand: Mapping[str, float]) -> Grant:
        """Wait until a pod of this run may run; cancelled, it has nothing.

        Raises:
            ConfigError: it asks for more than the machine has.
        """
        amounts = self._capacity.share(demand)
        waiting = _Waiting(run_id, amounts, next(self._order))
        line = (run_id, tuple(sorted(amounts.items())))
        self._lines.setdefault(line, deque()).append(waiting)
        self._hand_out()
        try:
            await waiting.woken.wait()
        except anyio.get_cancelled_exc_class():
            self._leave(line, waiting)
            raise
        assert waiting.given is not None
        return waiting.given

    def take_again(self, run_id: str, demand: Mapping[str, float], devices: Devices) -> Grant:
        """For a pod that an earlier platform started and that still runs: it has its places and devices already, even
        if there are more of such than there would be room for."""
        for name, ids in devices.items():
            self._devices[name] = [one for one in self._devices.get(name, ()) if one not in ids]
        return self._take(run_id, self._capacity.share(demand, strict=False), devices)

    def release(self, grant: Grant) -> None:
        """Give back what a pod held."""
        for name, amount in grant.amounts.items():
            self._free[name] = self._free.get(name, 0.0) + amount
        for name, ids in grant.devices.items():
            known = self._capacity.devices.get(name, ())
            self._devices[name] = [one for one in known if one in self._devices.get(name, ()) or one in ids]
        self._running[grant.run_id] -= 1
        if not self._running[grant.run_id]:
            del self._running[grant.run_id]
        self._hand_out()

    def in_use(self) -> dict[str, tuple[float, float]]:
        """Resource -> (in use, capacity)."""
        return {name: (all_ - self._free[name], all_) for name, all_ in self._capacity.amounts.items()}

    def waiting(self) -> int:
        """How many pods wait."""
        return sum(len(line) for line in self._lines.values())

    def _hand_out(self) -> None:
        while self._lines and (line := self._next()) is not None:
            queue = self._lines[line]
            waiting = queue.popleft()
            if not queue:
                del self._lines[line]
            waiting.given = self._take(waiting.run_id, waiting.amounts, self._pick(waiting.amounts))
            waiting.woken.set()

    def _next(self) -> _Line | None:
        """The line whose first may run now."""
        if self._free[STEPS] < 1:
            return None
        heads = sorted(
            ((queue[0], line) for line, queue in self._lines.items()),
            key=lambda one: (self._running[one[0].run_id], one[0].order),
        )
        kept = self._kept(head for head, _ in heads)
        chosen = next((pair for pair in heads if self._fits(pair[0]) and _spares(pair[0], kept)), None)
        if chosen is None:
            return None
        for head, _ in heads:
            # Only who came first is passed over: a line that is merely later has nothing to complain of.
            if head.order < chosen[0].order and not self._fits(head):
                head.passed += 1
        return chosen[1]

    def _kept(self, heads: Iterable[_Waiting]) -> tuple[_Waiting, frozenset[str]] | None:
        """The longest waiting of those whose patience is over, with what it lacks."""
        tired = [h for h in heads if h.passed >= PATIENCE and not self._fits(h)]
        if not tired:
            return None
        first = min(tired, key=lambda head: head.order)
        return first, frozenset(self._lacks(first))

    def _fits(self, head: _Waiting) -> bool:
        return not self._lacks(head)

    def _lacks(self, head: _Waiting) -> list[str]:
        return self._missing(head.amounts)

    def _missing(self, amounts: Mapping[str, float]) -> list[str]:
        return [name for name, amount in amounts.items() if self._free.get(name, 0.0) + _ROUNDING < amount]

    def _pick(self, amounts: Mapping[str, float]) -> Devices:
        return {
            name: tuple(self._devices[name][: round(amount)])
            for name, amount in amounts.items()
            if is_device(name) and name in self._devices
        }

    def _take(self, run_id: str, amounts: Mapping[str, float], devices: Devices) -> Grant:
        for name, amount in amounts.items():
            self._free[name] = self._free.get(name, 0.0) - amount
        for name, ids in devices.items():
            self._devices[name] = [one for one in self._devices.get(name, ()) if one not in ids]
        self._running[run_id] += 1
        return Grant(run_id, amounts, devices)

    def _leave(self, line: _Line, waiting: _Waiting) -> None:
        if waiting.given is not None:
            self.release(waiting.given)
            return
        queue = self._lines[line]
        queue.remove(waiting)
        if not queue:
            del self._lines[line]
        self._hand_out()


def _spares(head: _Waiting, kept: tuple[_Waiting, frozenset[str]] | None) -> bool:
    return kept is None or head is kept[0] or kept[1].isdisjoint(head.amounts)


def check_fits(plan: Plan, capacity: Capacity) -> list[str]:
    """Every template of a workflow that asks for more than the machine has, each said once.

    A quantity with a `{{variable}}` in it is looked at when it is known, as the step starts.
    """
    problems: dict[str, None] = {}
    for template in reachable_templates(plan):
        try:
            capacity.share(pod_demand(template))
        except ConfigError as error:
            if "{{" not in str(error):
                problems[f"template {template.get('name')!r}: {error}"] = None
    return list(problems)
