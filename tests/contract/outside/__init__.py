"""The outside world of each kind of source, for the contract suite in test_sources.py: one file for each kind.

`tests/contract/outside/KIND.py` has one class `Outside(World)`. It says what the kind promises, and makes real things
happen on a real server. All of its methods run on the event loop: blocking clients go through threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Protocol

import anyio

from eventsources import KINDS, EventSourceDocument
from eventsources.kinds import UPSTREAM
from retrain.clock import Clock, SystemClock
from retrain.events import Event

OURS, ARGO = "retrain.dev/v1", "argoproj.io/v1alpha1"


class Server(Protocol):
    """A server that a test may end as a power cut would, and start again on the same port and data."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


class World:
    """What is common to the outside worlds; a kind's own `Outside` says what differs."""

    kind: ClassVar[str]
    fixture: ClassVar[str] = ""
    """The session fixture of its server (tests/servers/fixtures.py); empty: it needs none, and is fast."""
    payload: ClassVar[frozenset[str]] = frozenset()
    """The members that upstream's data has, without metadata."""
    remembers: ClassVar[bool] = True
    """What happens while the platform is away is found at its next start."""
    ordered: ClassVar[bool] = True
    """Events come to the bus in the order in which things happened."""
    survives: ClassVar[bool] = True
    """What happened before its server was killed is not lost by that."""
    emulated: ClassVar[bool] = False
    """The server that dies here is an emulator, which keeps in memory what the service keeps for good."""
    redelivers: ClassVar[bool] = True
    """The outside tells again of what was not acknowledged, or waits to be asked."""
    calls: ClassVar[bool] = False
    """The outside calls the platform: there is nothing to wait for, and nothing but the platform can be away."""
    first_is_told: ClassVar[bool] = False
    """In ours, what is there at the very first start is told of; in Argo's it is not."""
    public: ClassVar[frozenset[str]] = frozenset()
    """Values of secrets that others may see, such as the name of a user in a payload."""
    many: ClassVar[int] = 10_000
    """How many things the test of many makes happen at most; fewer only where the outside is slow, with the reason."""
    leaves_sockets: ClassVar[bool] = False
    """Its client library leaves sockets of refused connections to the garbage collector, which warns of them."""
    nowhere: ClassVar[dict[str, Any] | None] = None
    """Members of the spec that make it look for a host that is not there. None: there is no host."""

    def __init__(self, folder: Path, server: Any, version: str) -> None:
        """`folder` is this test's own; `server` what the fixture gives, None without; `version` the apiVersion."""
        self.folder = folder
        self.running = server
        self.version = version

    @property
    def clock(self) -> Clock:
        """The platform's clock; one of its own where the time is what happens outside."""
        return SystemClock()

    @property
    def ours(self) -> bool:
        return self.version == OURS

    @property
    def server(self) -> Server | None:
        """The server, if it may be killed."""
        return self.running

    async def prepare(self) -> None:
        """Make the topic, queue or bucket of this test's own; called once, before all else."""

    def entry(self) -> dict[str, Any]:
        """What stands under `spec.KIND.thing`, with this test's own topic, queue or bucket."""
        raise NotImplementedError

    def document(self, **more: Any) -> EventSourceDocument:
        """The EventSource `es` with the one entry `thing`; `more` are members over those of `entry`."""
        spec = {self.kind: {"thing": {**self.entry(), **more}}}
        return EventSourceDocument.model_validate(
            {"apiVersion": self.version, "kind": "EventSource", "metadata": {"name": "es"}, "spec": spec}
        )

    def secrets(self) -> dict[tuple[str, str], str]:
        """By name and key. The suite gives them to the host."""
        return {}

    def wrong_secrets(self) -> dict[tuple[str, str], str] | None:
        """Secrets of the same names that the server does not take; None where nobody asks for any."""
        return None

    async def happen(self, name: str) -> None:
        """Something happens outside that `name_in` tells again. Returns when the outside has it durably.

        A kind that is called tries again until it is answered that all is well, as real senders do.
        """
        raise NotImplementedError

    async def happen_many(self, names: Sequence[str]) -> None:
        """Many things in this order; kinds whose protocol has batches override it."""
        for name in names:
            await self.happen(name)

    def name_in(self, event: Event) -> str:
        """The name that was given to `happen`."""
        raise NotImplementedError

    async def bad(self) -> bytes:
        """Send something that the kind cannot read; its raw bytes. Left out where everything can be read.

        With `bad_entry` where only another spec (such as `jsonBody: true`) makes it unreadable.
        """
        raise NotImplementedError

    bad_entry: ClassVar[dict[str, Any]] = {}

    async def close(self) -> None:
        """Let go of clients."""


def built() -> list[str]:
    """The kinds that the suite runs over: all that are built."""
    return sorted(KINDS)


def world_of(kind: str) -> type[World]:
    """The outside world of a kind."""
    return import_module(f"{__name__}.{kind.lower()}").Outside


def versions(kind: str) -> list[str]:
    """The apiVersions that the kind may stand in."""
    return [OURS, ARGO] if kind in UPSTREAM else [OURS]


async def until_accepted(attempt: Any) -> None:
    """Call `attempt` again and again until it returns true, as a real sender does."""
    pause = 0.02
    while not await attempt():
        await anyio.sleep(pause)
        pause = min(pause * 2, 0.5)
