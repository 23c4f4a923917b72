"""Who works on the run of a workflow: this machine, or Argo on a cluster. Pure, for the command line waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from retrain.store.runs import Engine

ENGINE = "retrain.dev/engine"
"""The annotation of a Workflow or a Sensor that chooses who works on its runs."""
ENGINES = ("local", "argo")


def engine_of(manifest: Mapping[str, Any], otherwise: Engine) -> Engine:
    """Who is to work on a workflow: as its annotation `retrain.dev/engine` says, else the platform's engine.

    Raises:
        ConfigError: the annotation names none.
    """
    annotations: Mapping[str, Any] = (manifest.get("metadata") or {}).get("annotations") or {}
    match annotations.get(ENGINE):
        case None:
            return otherwise
        case "local" | "argo" as said:
            return said
        case other:
            raise ConfigError(f"metadata.annotations.{ENGINE} is {other!r}; there are {' and '.join(ENGINES)}")
