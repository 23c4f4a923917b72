"""Blocking calls in threads of their own that nobody has to wait for.

A pool's thread that hangs in a dead server's socket keeps the process from ending; these are daemons. Starting one
costs a tenth of a millisecond.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_sync(work: Callable[[*Ts], T], *args: *Ts, on_cancel: Callable[[], object] | None = None) -> T:
    """The result of `work(*args)`. When cancelled, `on_cancel` is called (to make `work` end) and `work` left behind.

    Raises:
        Exception: whatever `work` raised.
    """
    token = anyio.lowlevel.current_token()
    done = anyio.Event()
    result: list[T] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work(*args))
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever awaits this
            failure.append(error)
        try:
            anyio.from_thread.run_sync(done.set, token=token)
        except (RuntimeError, anyio.RunFinishedError):
            return  # the event loop is gone, and so is whoever waited

    threading.Thread(target=run, name="retrain-source", daemon=True).start()
    try:
        await done.wait()
    except BaseException:
        if on_cancel is not None:
            on_cancel()
        raise
    if failure:
        raise failure[0]
    return result[0]
