"""The logs of a run: which steps are meant, and their lines one after the other or as they are written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from itertools import chain, islice
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import orjson
import re2
from sqlalchemy import Connection

from pipelines.artifacts.port import Artifacts
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node
from pipelines.kubernetes.creating import OpenCluster
from pipelines.local.logs import Follower, LogLine, lines
from pipelines.local.workspace import container_homes, open_workspace, run_directory
from pipelines.pictures.reading import depths, in_order
from retrain.app.runs.archived_logs import Archived, archived_logs, ended_at
from retrain.app.runs.artifacts import where_of
from retrain.errors import ConfigError, NotFound
from retrain.store import Store, run_outlines, runs
from retrain.store.runs import OPEN, RunRow

AT_ONCE = 500
"""Lines that are read at once."""
LOOK_S = 0.3
"""Seconds between two looks at logs that somebody follows, at least: a step writes a file, and nobody is told."""
LONGEST_PATTERN = 500


@dataclass(frozen=True, slots=True)
class LogWish:
    """Which lines to show; None means any. `tail` counts from the end of each step's log. `places`: up to where whoever
    asks has the logs already, as `StepLine.log` and `line.end` say it; of these all that follows is meant."""

    node: str | None = None
    selector: str | None = None
    container: str | None = None
    grep: str | None = None
    since: datetime | None = None
    tail: int | None = None
    follow: bool = False
    places: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def tail_of_new(self) -> int | None:
        """Of a log that whoever comes again has not seen, all is new."""
        return None if self.places else self.tail


@dataclass(frozen=True, slots=True)
class StepLine:
    """A line of a step's log."""

    node: Mapping[str, Any]
    container: str
    line: LogLine

    @property
    def log(self) -> str:
        """A short name of the log that it is in: the same in every answer."""
        return log_name(self.node, self.container)

    def to_json(self) -> bytes:
        """As one JSON object."""
        return orjson.dumps(
            {
                "node": self.node["id"],
                "name": self.node.get("displayName") or self.node["name"],
                "container": self.container,
                "time": self.line.time.isoformat().replace("+00:00", "Z"),
                "stream": self.line.stream,
                "text": self.line.text,
            }
        )


def log_name(node: Mapping[str, Any], container: str) -> str:
    """A short name for the log of a container of a step."""
    return blake2b(f"{node['id']}/{container}".encode(), digest_size=5).hexdigest()


@dataclass(frozen=True, slots=True)
class Logs:
    """Lines in batches. `many`: several steps, or containers, may speak."""

    many: bool
    batches: AsyncGenerator[list[StepLine]]


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where logs are: below the data directory, and, where they are archived and gone from there, among artifacts."""

    store: Store
    data: Path
    artifacts: Artifacts | None = None
    cluster: OpenCluster | None = None


Source = tuple[Mapping[str, Any], str, Path | Archived]
"""A step, one of its containers, and where its log is."""


async def log_lines(place: LogPlace, run: RunRow, wish: LogWish) -> Logs:
    """The lines, in batches: step after step in the order in which they began; those to come as they come.

    Raises:
        NotFound: there is no such step or container.
        ConfigError: the pattern or the selector cannot be used.
    """
    keep = _grep(wish.grep)
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
    nodes = await place.store.read(lambda c: _nodes(c, run, wish))
    return await anyio.to_thread.run_sync(_find, place, run, nodes, wish)


def _nodes(connection: Connection, run: RunRow, wish: LogWish) -> Mapping[str, Any]:
    """The nodes among which to look: only that one where a step is named by its id, for a run may have 10,000."""
    one = run_outlines.node(connection, run.id, wish.node) if wish.node and not wish.selector else None
    return {one["id"]: one} if one and one.get("type") == "Pod" else runs.load_nodes(connection, run.id)


def _find(place: LogPlace, run: RunRow, nodes: Mapping[str, Any], wish: LogWish) -> list[Source]:
    found: list[Source] = []
    for pod in in_order(_chosen(run, nodes, wish), depths(nodes)):
        homes = container_homes(open_workspace(run_directory(place.data, run.id), pod["id"]))
        found += [(pod, container, home / "main.log") for container, home in homes.items()]
        if place.artifacts is not None:
            for container, artifact in archived_logs(pod, homes):
                log = Archived(place.artifacts, artifact, where_of(run, pod), ended_at(pod))
                found.append((pod, container, log))
    return [one for one in found if wish.container in (None, one[1])]


def _chosen(run: RunRow, nodes: Mapping[str, Any], wish: LogWish) -> list[Mapping[str, Any]]:
    pods = [one for one in nodes.values() if one.get("type") == "Pod"]
    if wish.selector:
        fits = compile_selector(wish.selector)
        pods = [one for one in pods if fits(Node.from_argo(one))]
    if wish.node is None:
        return pods
    mine = [
        one for one in pods if wish.node in {one["id"], one["name"], one["displayName"]} or _below(one, wish, nodes)
    ]
    if not mine and not wish.follow:
        raise NotFound(f"{run.name} has no step {wish.node!r}; `retrain runs get {run.name}` shows them")
    return mine


def _below(pod: Mapping[str, Any], wish: LogWish, nodes: Mapping[str, Any]) -> bool:
    """Whether a pod is of the group, DAG or Retry of this name: all its logs are meant."""
    owner = nodes.get(pod.get("boundaryID") or "")
    if (
        owner is not None
        and wish.node in {owner["id"], owner["name"], owner["displayName"]}
        and owner.get("boundaryID")
    ):
        return True
    return bool(wish.node) and str(pod["displayName"]).startswith(f"{wish.node}(")


def _grep(pattern: str | None) -> Callable[[str], bool]:
    """Whether a line has what is looked for, by RE2: no pattern takes long."""
    if pattern is None:
        return lambda _: True
    if len(pattern) > LONGEST_PATTERN:
        raise ConfigError(f"grep: a pattern has at most {LONGEST_PATTERN} letters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        said: Any = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ConfigError(f"grep {pattern!r}: {text}") from None
    return lambda text: compiled.search(text) is not None
