"""How artifacts are set up from settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipelines.artifacts.keeper import Keeper
from pipelines.artifacts.limits import Limits
from pipelines.artifacts.local import LocalRepository
from pipelines.artifacts.place import PAUSES_S
from pipelines.artifacts.places import Surroundings
from pipelines.artifacts.secrets import References, Secrets
from pipelines.artifacts.settings import ArtifactSettings


def open_artifacts(
    data: Path,
    references: References,
    settings: ArtifactSettings | None = None,
    environ: Mapping[str, str] | None = None,
    pauses: tuple[float, ...] = PAUSES_S,
) -> Keeper:
    """Artifacts with the local repository below `data`/artifacts. Nothing is written before the first save.

    `environ` is what `git` gets to see (PATH, proxies). `pauses`: seconds between attempts on a server.
    """
    settings = settings or ArtifactSettings()
    root = data / "artifacts"
    limits = Limits(max_bytes=settings.max_bytes)
    local = LocalRepository(root, sync=settings.sync)
    around = Surroundings(local, Secrets(references), settings, limits, root / "tmp", environ or {}, pauses)
    return Keeper(around)
