"""Names for messages that have none of their own, kept while they are in hand.

AMQP and MQTT hand a message out again when its acknowledgement was lost, marked as handed out before, but without a
name that would stay the same. So the names that a batch gets are written down before the batch goes to the bus: after a
crash the same messages get the same names, and are the same events. What is new gets a new name, however alike two are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from uuid import uuid4

from eventsources.port import Checkpoints
from retrain.events import JsonValue

KEPT = 10_000
"""Names in memory: of messages whose acknowledgements a server that dies may still lose."""

SLOTS, IN_SLOT = 16, 100
"""Names in the store, where messages are numbered: so many rows, and how full one gets before the next is begun.
Together they are more than brokers give out before they have seen an acknowledgement (Mosquitto: 20)."""

_BATCH = "batch"


class InHand:
    """The names of one source's messages. `scope` says where they come from.

    `numbered`: a digest ends in the broker's number of the message (`DIGEST/NUMBER`), so one message in hand has it.
    Then more than the newest batch is kept in the store, for acknowledgements of older ones may be lost on their way.
    Without numbers that would be wrong: a message that is like an older one would be taken for it, and be lost.
    """

    def __init__(self, checkpoints: Checkpoints, scope: str, *, numbered: bool = False) -> None:
        self._checkpoints = checkpoints
        self._scope = scope
        self._numbered = numbered
        self._rows = 0
        self._row: dict[str, list[str]] = {}
        self._known: OrderedDict[str, list[str]] | None = None  # by digest of the message, in the order of their coming

    async def name(self, messages: Sequence[tuple[str, bool]]) -> list[str]:
        """A name for each message, given as (digest, whether it was handed out before); returns when they are kept."""
        known = await self._load()
        named: dict[str, list[str]] = {}
        names: list[str] = []
        for digest, again in messages:
            former = known.get(digest)
            name = former.pop(0) if again and former else uuid4().hex
            names.append(name)
            named.setdefault(digest, []).append(name)
        for digest, these in named.items():
            former = known.pop(digest, [])
            known[digest] = these if self._numbered else former + these
        while len(known) > KEPT:
            known.popitem(last=False)
        await self._keep(named)
        return names

    async def _keep(self, named: dict[str, list[str]]) -> None:
        """Write the names of a batch down, in place of the oldest ones."""
        if not self._numbered or len(self._row) >= IN_SLOT:
            self._row = {}
            self._rows += 1
        self._row |= named
        names: dict[str, JsonValue] = {digest: list(these) for digest, these in self._row.items()}
        row: JsonValue = {"row": self._rows, "names": names} if self._numbered else names
        await self._checkpoints.save(self._scope, {self._slot(self._rows): row})

    def _slot(self, row: int) -> str:
        return f"{_BATCH}/{row % SLOTS}" if self._numbered else _BATCH

    async def known(self, digest: str) -> str | None:
        """The newest name that such a message has had, if it is still known."""
        known = await self._load()
        if not self._numbered:
            return known[digest][-1] if known.get(digest) else None
        same = (names for key, names in reversed(known.items()) if key.partition("/")[0] == digest)
        return next((names[-1] for names in same if names), None)

    async def _load(self) -> OrderedDict[str, list[str]]:
        if self._known is None:
            slots = [self._slot(row) for row in range(SLOTS)] if self._numbered else [_BATCH]
            kept = (await self._checkpoints.get(self._scope, slots)).values()
            rows = sorted((_row(one) if self._numbered else (0, one) for one in kept), key=lambda row: row[0])
            self._known = OrderedDict()
            for number, names in rows:
                self._rows = number + 1  # what is there stays until the ring comes round to it
                for digest, these in _names(names):
                    self._known.pop(digest, None)
                    self._known[digest] = these
        return self._known


def _row(kept: JsonValue) -> tuple[int, JsonValue]:
    """The number and the names of a row; an unreadable one has none."""
    number = kept.get("row") if isinstance(kept, dict) else None
    return (number, kept.get("names")) if isinstance(kept, dict) and isinstance(number, int) else (0, None)


def _names(kept: JsonValue) -> list[tuple[str, list[str]]]:
    rows = kept.items() if isinstance(kept, dict) else ()
    return [(digest, [str(name) for name in names]) for digest, names in rows if isinstance(names, list)]
