"""What the rest of the engine knows of artifacts: where the files of steps are kept, and what can be asked of it.

All calls block and may take as long as a transfer takes: call them from a worker thread. All may be repeated.

An artifact is Argo's JSON (`pipelines.core.nodes.Artifact`): `name`, `archive`, `mode`, ..., and at most one location,
such as `raw`, `s3`, `http` or `git`. A bare `s3: {key}` lies in the run's repository.

Ours beside Argo's locations is what a reader of a loop's artifacts gets: `retrain: {parts: [artifact, ...]}`, a
directory with one entry for each part, by the part's `name`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from pipelines.core.nodes import Artifact
from retrain.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from pipelines.artifacts.looking import Look


class ArtifactMissing(NotFound):
    """Nothing lies where the artifact says. For an `optional` one that is no error of the step."""


class BadArtifact(ConfigError):
    """The artifact cannot be used as it is declared or as it lies: an unknown location, an archive that leads out of
    its directory, contents beyond the limits."""


def _none() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class ArtifactRun:
    """For whom an artifact is loaded or saved."""

    run_id: str
    workflow: str
    """The workflow's name, as it stands in keys."""
    namespace: str
    node_id: str
    pod_name: str
    repository: Mapping[str, Any] | None = None
    """The workflow's `artifactRepositoryRef`: `{configMap, key}`; None is the default repository."""
    uid: str = ""
    location: Mapping[str, Any] | None = None
    """The template's `archiveLocation`, if it has one: it goes before the repository for what is saved."""
    variables: Mapping[str, str] = field(default_factory=_none)
    """What else a repository's `keyFormat` may name, such as `workflow.parameters.team`."""


class Artifacts(Protocol):
    """Keeps the files of steps.

    Raises, all of them:
        ArtifactMissing: there is nothing.
        BadArtifact: as above.
        ConfigError: a Secret, a repository or a location is not to be had; the message names it.
        Permanent: a server refuses; again would be refused again.
        Transient: a server is away; it was asked several times.
        OSError: this machine's disk.
    """

    def load(self, artifact: Artifact, to: Path, run: ArtifactRun) -> None:
        """Put what lies there at `to`, unpacked: a file or a directory. What was at `to` is replaced; its parents are
        made. After an error there is nothing new at `to`."""
        ...

    def save(self, artifact: Artifact, found: Path, run: ArtifactRun) -> Artifact:
        """Keep the file or directory `found`; the artifact with its location. `path` stays in it as declared."""
        ...

    def keys(self, artifact: Artifact, run: ArtifactRun) -> Iterator[str]:
        """The keys of all objects below the artifact's key, in order; a page of them in memory at a time."""
        ...

    def open(self, artifact: Artifact, run: ArtifactRun) -> BinaryIO:
        """The bytes as they lie: an archive is not unpacked. Of a directory that is kept as files: a tar of it."""
        ...

    def look(self, artifact: Artifact, run: ArtifactRun, path: str, most: int) -> Look:
        """What it is, without loading it: at most `most` bytes of a file, or what a directory or archive holds; of what
        is at `path` in it, if that is not empty."""
        ...

    def digest(self, artifact: Artifact, run: ArtifactRun) -> str:
        """The digest of what lies there, where the repository knows it without reading; else "". Of a directory: of
        the list of its files."""
        ...

    def delete(self, artifact: Artifact, run: ArtifactRun) -> None:
        """Take it away, and what lies below its key; nothing there is as good."""
        ...
