"""A process that is to die at a fault point."""

from __future__ import annotations

from multiprocessing.process import BaseProcess

PATIENCE_S = 60


def end_of(process: BaseProcess) -> int | None:
    """Start it, and wait for its end: what it ended with, -9 if it was killed. None, and killed by us: it never did."""
    process.start()
    process.join(PATIENCE_S)
    try:
        return process.exitcode
    finally:
        process.kill()
        process.join()
