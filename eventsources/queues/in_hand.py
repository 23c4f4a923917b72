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

_BATCH = "batch"


class InHand:
    """The names of one source's messages. `scope` says where they come from."""

    def __init__(self, checkpoints: Checkpoints, scope: str) -> None:
        self._checkpoints = checkpoints
        self._scope = scope
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
            known[digest] = known.pop(digest, []) + these
        while len(known) > KEPT:
            known.popitem(last=False)
        batch: dict[str, JsonValue] = {digest: list(these) for digest, these in named.items()}
        await self._checkpoints.save(self._scope, {_BATCH: batch})
        return names

    async def known(self, digest: str) -> str | None:
        """The newest name that such a message has had, if it is still known."""
        former = (await self._load()).get(digest)
        return former[-1] if former else None

    async def _load(self) -> OrderedDict[str, list[str]]:
        if self._known is None:
            kept = (await self._checkpoints.get(self._scope, [_BATCH])).get(_BATCH)
            rows = kept.items() if isinstance(kept, dict) else ()
            self._known = OrderedDict(
                (digest, [str(name) for name in names]) for digest, names in rows if isinstance(names, list)
            )
        return self._known
