"""Which lines of a run's logs somebody wants, and the lines that they get."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import re2
from sqlalchemy import Connection

from pipelines.artifacts.port import Artifacts
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node
from pipelines.kubernetes.creating import OpenCluster
from pipelines.local.logs import LogLine
from retrain.errors import ConfigError, NotFound
from retrain.store import Store, run_outlines, runs
from retrain.store.runs import RunRow

AT_ONCE = 500
"""Lines that are read at once."""
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


def nodes_meant(connection: Connection, run: RunRow, wish: LogWish) -> Mapping[str, Any]:
    """The nodes of a run among which to look: only one where it is named by its id, for a run may have 10,000."""
    one = run_outlines.node(connection, run.id, wish.node) if wish.node and not wish.selector else None
    return {one["id"]: one} if one and one.get("type") == "Pod" else runs.load_nodes(connection, run.id)


def chosen(run: RunRow, nodes: Mapping[str, Any], wish: LogWish) -> list[Mapping[str, Any]]:
    """The steps whose logs are meant.

    Raises:
        NotFound: there is none of this name.
        ConfigError: the selector cannot be used.
    """
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


def compile_grep(pattern: str | None) -> Callable[[str], bool]:
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
