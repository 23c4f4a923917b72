"""What outlives one run: locks that runs wait for, and outputs that are remembered.

All of it may be asked for twice: who holds a lock and asks again, after a restart, finds that it holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.core.happenings import LockNews, LockWish, Memo, MemoNews, MemoWish

Told = Callable[[LockNews], None]
"""Where the news go that a wish is granted after all. Called on the event loop; must not block; may come twice."""


class Keepers(Protocol):
    """Locks and memos of a host. One in memory (`MemoryKeepers`), one on the store (`StoreKeepers`).

    A run says with `watch` where its news go, before its first `acquire`; the holder "" is the run as a whole.
    """

    def watch(self, run_id: str, told: Told) -> None:
        """Tell this run's news to `told` from now on."""
        ...

    def unwatch(self, run_id: str) -> None:
        """This process works on the run no more; its locks and its places in queues stay."""
        ...

    async def acquire(self, run_id: str, wish: LockWish) -> LockNews:
        """Take all locks of a wish or none, or take a place in the queue. A later grant is told to the run's `told`.

        Asking again keeps what is held, and the place in the queue; a wish for other locks replaces what waits.
        """
        ...

    async def release(self, run_id: str, holders: Sequence[str]) -> None:
        """Give back what these hold, and their places in queues; those who waited are told."""
        ...

    async def release_run(self, run_id: str) -> None:
        """Give back all that a run and its nodes hold or wait for."""
        ...

    async def look_up(self, wish: MemoWish) -> MemoNews:
        """The outputs that are remembered, if they are young enough and their artifacts are still there."""
        ...

    async def remember(self, memo: Memo) -> None:
        """Remember outputs, in the place of older ones."""
        ...
