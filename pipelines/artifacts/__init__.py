"""Artifacts: the files that go into steps and come out of them, and where they are kept.

`port.py` is what the rest of the engine knows, `keeper.py` does it. `places.py` finds the place of an artifact, one
file for each kind of it: `local_place.py` (over `local.py`, the repository that needs no server), `bucket_place.py`
(over `s3.py` and `gcs.py`), `http.py`, `git.py`, `raw.py`. `packing.py` and `unpacking.py` know archives. `garbage.py`
says what may go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, Artifacts, BadArtifact
from retrain.lazily import lazily

if TYPE_CHECKING:
    from pipelines.artifacts.opening import open_artifacts


# It brings archives and a database with it: only who opens them pays for that.
__getattr__ = lazily(__name__, {"open_artifacts": "opening"})

__all__ = ["ArtifactMissing", "ArtifactRun", "Artifacts", "BadArtifact", "open_artifacts"]
