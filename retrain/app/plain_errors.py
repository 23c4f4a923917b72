"""What a task group raises, as the error that its reader can act on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import cast

import structlog

from retrain.errors import RetrainError

log = structlog.get_logger()


@contextmanager
def plainly() -> Generator[None]:
    """Raise a group of our own errors as the first of them; the others are logged.

    A group that holds anything else is a bug, and stays whole: every traceback in it counts.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        first, *others = leaves(group)
        if not all(isinstance(one, RetrainError) for one in (first, *others)):
            raise
        for one in others:
            log.warning("platform.failed_too", reason=str(one))
        raise first from None


def leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    """The errors of a group and of the groups in it, in order. Never empty: a group holds at least one."""
    for one in group.exceptions:
        if isinstance(one, BaseExceptionGroup):
            yield from leaves(cast("BaseExceptionGroup[BaseException]", one))
        else:
            yield one
