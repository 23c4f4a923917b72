"""Logs that were kept as artifacts (`archiveLogs`), for steps whose directories are gone."""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, Artifacts
from pipelines.local.logs import LogLine
from retrain.errors import RetrainError

SUFFIX = "-logs"


@dataclass(frozen=True, slots=True)
class Archived:
    """The log of a container, as an artifact. Its lines have no times of their own: they get that of the step's end."""

    artifacts: Artifacts
    artifact: Mapping[str, Any]
    where: ArtifactRun
    ended: datetime

    def lines(self, since: datetime | None, tail: int | None, start: int = 0) -> Iterator[LogLine]:
        """Its lines behind the first `start`: none if the step ended before `since`, at most `tail` from its end.
        Blocks."""
        if since is not None and self.ended < since:
            return iter(())
        found = islice((replace(one, end=number) for number, one in enumerate(self._read(), 1)), start, None)
        return found if tail is None else iter(deque(found, maxlen=tail))

    def _read(self) -> Iterator[LogLine]:
        try:
            with self.artifacts.open(self.artifact, self.where) as file:
                for line in file:
                    yield self._line(line.decode(errors="replace").removesuffix("\n"))
        except ArtifactMissing:
            return  # it was deleted: there is no log any more
        except (RetrainError, OSError) as error:
            yield self._line(f"(the log was archived, and cannot be read now: {error})")

    def _line(self, text: str) -> LogLine:
        return LogLine(self.ended, "both", text, whole=True)


def archived_logs(node: Mapping[str, Any], there: Container[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The containers of a step whose log is an artifact only, each with that. `there`: those with a log on disk."""
    artifacts: Iterable[Mapping[str, Any]] = (node.get("outputs") or {}).get("artifacts") or ()
    for artifact in artifacts:
        if is_log(artifact) and (container := str(artifact.get("name")).removesuffix(SUFFIX)) not in there:
            yield container, artifact


def is_log(artifact: Mapping[str, Any]) -> bool:
    """Whether an artifact is an archived log. What a template declares has a path, and is none."""
    return str(artifact.get("name")).endswith(SUFFIX) and "path" not in artifact


def ended_at(node: Mapping[str, Any]) -> datetime:
    """When a step ended, as far as it is known."""
    text = node.get("finishedAt") or node.get("startedAt")
    return datetime.fromisoformat(text) if text else datetime.min.replace(tzinfo=UTC)
