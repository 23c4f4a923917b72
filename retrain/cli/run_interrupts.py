"""Ctrl-C, SIGTERM and a closed terminal, for as long as a run in the foreground lasts: none of them ends it halfway."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from pipelines.pictures.reading import OVER, counts, nodes_of

NOTHING_DONE = "interrupted: nothing had begun"


class Interrupts:
    """What has come. Get one from `open_interrupts`.

    The first one raises KeyboardInterrupt until somebody attends to them (`next`); later ones are counted only, so that
    nothing cuts off what is being taken away. Where Python swallows it (in a finalizer, in a callback of an import),
    whoever attends hears of it then.
    """

    def __init__(self, descriptors: tuple[int, int]) -> None:
        self._read, self._write = descriptors
        self._attended = False
        self.came = False

    async def next(self) -> None:
        """Wait for the next one."""
        import anyio  # not before something runs: `lint` and `--help` do without

        self._attended = True
        await anyio.wait_readable(self._read)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 1)

    def take(self, _number: int, _frame: FrameType | None) -> None:
        """The signal handler."""
        first, self.came = not self.came, True
        if self._attended or first:
            # By a pipe: a handler runs in the middle of anything, where a task must not be touched.
            with contextlib.suppress(BlockingIOError):
                os.write(self._write, b"!")
        if first and not self._attended:
            raise KeyboardInterrupt


@contextmanager
def open_interrupts() -> Generator[Interrupts]:
    """Take these signals for the time of the block."""
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    interrupts = Interrupts((read, write))
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # `nohup` is to have its way
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupts.take) for number in numbers}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(read)
        os.close(write)


def interrupted(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A Workflow object that went on, as it is now that nobody goes on with it. Its open nodes stay as they are."""
    from pipelines.core.nodes import to_rfc3339

    now = to_rfc3339(datetime.now(UTC))
    status = {**workflow["status"], "phase": "Failed", "message": "interrupted", "finishedAt": now}
    return {**workflow, "status": status}


def how_far(last: Mapping[str, Any] | None, ahead: int) -> str:
    """One line for the end: how far the last workflow came, and how many have not begun."""
    if last is None:
        return NOTHING_DONE
    found = counts(nodes_of(last).values())
    over = sum(count for phase, count in found.items() if phase in OVER)
    parts = [f"interrupted: {over} of {sum(found.values())} steps had ended"]
    if cut := found.get("Running"):
        parts.append(f"{cut} cut off")
    if ahead:
        parts.append(f"{ahead} {'workflow' if ahead == 1 else 'workflows'} not begun")
    return ", ".join(parts)
