"""Remembered outputs: when they are too old, whether their artifacts are still there, what a ConfigMap remembers.

Argo keeps them in ConfigMaps. A ConfigMap document of that shape beside the workflow is read too, where nothing newer
is known; it is never written, and has no limit of 1 MB to fill.

Source: workflow/controller/cache of Argo's controller.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio.to_thread

from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, Artifacts
from pipelines.core.happenings import MemoWish
from pipelines.core.nodes import Artifact
from retrain.errors import RetrainError

MemoCheck = Callable[[Mapping[str, Any]], Awaitable[bool]]
"""Whether remembered outputs can be used: everything that they point to is there."""

Known = Callable[[], Mapping[str, Mapping[str, str]]]
"""The ConfigMaps as they are now: name -> keys and texts."""

_NOBODY = ArtifactRun(run_id="", workflow="", namespace="default", node_id="", pod_name="", repository=None)
_NEVER = datetime.min.replace(tzinfo=UTC)


async def nothing_missing(_outputs: Mapping[str, Any]) -> bool:
    """The check of a host that keeps no artifacts."""
    return True


def no_config_maps() -> Mapping[str, Mapping[str, str]]:
    """The ConfigMaps of a host that has none."""
    return {}


def artifact_check(artifacts: Artifacts) -> MemoCheck:
    """A check that looks for each artifact where it lies. One that cannot be looked for is as good as gone."""

    async def check(outputs: Mapping[str, Any]) -> bool:
        found: Sequence[Artifact] = outputs.get("artifacts") or ()
        return not found or await anyio.to_thread.run_sync(_are_there, artifacts, found)

    return check


def _are_there(artifacts: Artifacts, found: Sequence[Artifact]) -> bool:
    try:
        for artifact in found:
            artifacts.open(artifact, _NOBODY).close()
    except (ArtifactMissing, RetrainError, OSError):
        return False
    return True


def is_fresh(wish: MemoWish, created: datetime, now: datetime) -> bool:
    """Whether what was remembered then is young enough for the wish."""
    return wish.max_age_s is None or now - created <= timedelta(seconds=wish.max_age_s)


def known_in(config_maps: Known, wish: MemoWish) -> tuple[Mapping[str, Any] | None, datetime]:
    """What a ConfigMap remembers under the key, and since when. What cannot be read is not remembered."""
    text = (config_maps().get(wish.cache) or {}).get(wish.key)
    if text is None:
        return None, _NEVER
    try:
        entry = json.loads(text)
        outputs, created = entry["outputs"], datetime.fromisoformat(entry["creationTimestamp"])
    except (ValueError, KeyError, TypeError):
        return None, _NEVER
    if not isinstance(outputs, Mapping):
        return None, _NEVER
    return outputs, created if created.tzinfo else created.replace(tzinfo=UTC)
