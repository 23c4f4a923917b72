"""Pages of a list that is in memory whole: by key, so that what comes and goes meanwhile moves nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

Json = dict[str, Any]


def paged(items: Iterable[Json], key: Callable[[Json], str], cursor: str | None, limit: int) -> Json:
    """The `limit` items behind the key `cursor`, in the order of their keys, which tell them apart. Pure."""
    rest = sorted(((key(one), one) for one in items), key=itemgetter(0))
    if cursor is not None:
        rest = [one for one in rest if one[0] > cursor]
    shown = rest[:limit]
    return {"items": [one for _, one in shown], "next": shown[-1][0] if len(rest) > limit else None}
