"""The logs of a run: which steps are meant, and their lines one after the other or as they are written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from pipelines.local.logs import Follower, LogLine, lines
from pipelines.local.workspace import container_homes, open_workspace, run_directory
from pipelines.pictures.reading import depths, in_order
from retrain.app.runs.archived_logs import Archived, archived_logs, ended_at
from retrain.app.runs.artifacts import where_of
from retrain.app.runs.cluster_logs import cluster_log_lines
from retrain.app.runs.log_wish import (
    AT_ONCE,
    LogPlace,
    Logs,
    LogWish,
    StepLine,
    chosen,
    compile_grep,
    log_name,
    nodes_meant,
)
from retrain.errors import NotFound
from retrain.store import runs
from retrain.store.runs import OPEN, RunRow

__all__ = ["LogPlace", "LogWish", "Logs", "StepLine", "log_lines", "log_name"]

LOOK_S = 0.3
"""Seconds between two looks at logs that somebody follows, at least: a step writes a file, and nobody is told."""
Source = tuple[Mapping[str, Any], str, Path | Archived]
"""A step, one of its containers, and where its log is."""


async def log_lines(place: LogPlace, run: RunRow, wish: LogWish) -> Logs:
    """The lines, in batches: step after step in the order in which they began; those to come as they come.

    Raises:
        NotFound: there is no such step or container.
        ConfigError: the pattern or the selector cannot be used.
    """
    if run.engine != "local":
        return await cluster_log_lines(place, run, wish)
    keep = compile_grep(wish.grep)
    # Looked at once before the answer begins, so that what is wrong is said as an error.
    found = await _sources(place, run, wish)
    if wish.container is not None and not wish.follow and not found:
        raise NotFound(f"{run.name} has no container {wish.container!r} that wrote a log")
    more_may_come = wish.follow and wish.node is None and run.phase in OPEN
    batches = _follow(place, run, wish, keep) if wish.follow else _read(found, wish, keep)
    return Logs(len(found) > 1 or more_may_come, batches)


async def _read(found: Sequence[Source], wish: LogWish, keep: Callable[[str], bool]) -> AsyncGenerator[list[StepLine]]:
    for node, container, log in found:
        parts = _batches(_lines(log, wish, wish.places.get(log_name(node, container))), keep)
        while (part := await anyio.to_thread.run_sync(next, parts, None)) is not None:
            yield [StepLine(node, container, line) for line in part]


def _lines(log: Path | Archived, wish: LogWish, start: int | None) -> Iterator[LogLine]:
    """The lines of a log that are there now. `start`: where whoever asks left off."""
    if not isinstance(log, Path):
        return log.lines(wish.since, wish.tail_of_new) if start is None else log.lines(None, None, start)
    if start is None:
        return lines(log, wish.since, wish.tail_of_new)
    follower = Follower(log, start=start)
    return chain.from_iterable(iter(follower.read, []))


def _batches(all_lines: Iterator[LogLine], keep: Callable[[str], bool]) -> Iterator[list[LogLine]]:
    batch: list[LogLine] = []
    for line in all_lines:
        if keep(line.text):
            batch.append(line)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


async def _follow(
    place: LogPlace, run: RunRow, wish: LogWish, keep: Callable[[str], bool]
) -> AsyncGenerator[list[StepLine]]:
    followers: dict[tuple[str, str], Callable[[], list[LogLine]]] = {}
    while True:
        # In this order: what a step wrote before its run was over is there when the run is.
        row = await place.store.read(lambda c: runs.get(c, run.id))
        for node, container, log in await _sources(place, run, wish):
            start = wish.places.get(log_name(node, container))
            read = followers.setdefault((node["id"], container), _follower(log, wish, start))
            while news := await anyio.to_thread.run_sync(read):
                if batch := [StepLine(node, container, line) for line in news if keep(line.text)]:
                    yield batch
        if row is None or row.phase not in OPEN:
            return
        yield []  # whoever sends this on can see that it is still wanted
        await anyio.sleep(LOOK_S)


def _follower(log: Path | Archived, wish: LogWish, start: int | None) -> Callable[[], list[LogLine]]:
    """Gives what is new in a log; of one that is archived all of it is, once. `start` as in `_lines`."""
    if isinstance(log, Path):
        known = Follower(log, since=wish.since, tail=wish.tail_of_new) if start is None else Follower(log, start=start)
        return known.read
    whole = _lines(log, wish, start)
    return lambda: list(islice(whole, AT_ONCE))


async def _sources(place: LogPlace, run: RunRow, wish: LogWish) -> list[Source]:
    nodes = await place.store.read(lambda c: nodes_meant(c, run, wish))
    return await anyio.to_thread.run_sync(_find, place, run, nodes, wish)


def _find(place: LogPlace, run: RunRow, nodes: Mapping[str, Any], wish: LogWish) -> list[Source]:
    found: list[Source] = []
    for pod in in_order(chosen(run, nodes, wish), depths(nodes)):
        homes = container_homes(open_workspace(run_directory(place.data, run.id), pod["id"]))
        found += [(pod, container, home / "main.log") for container, home in homes.items()]
        if place.artifacts is not None:
            for container, artifact in archived_logs(pod, homes):
                log = Archived(place.artifacts, artifact, where_of(run, pod), ended_at(pod))
                found.append((pod, container, log))
    return [one for one in found if wish.container in (None, one[1])]
