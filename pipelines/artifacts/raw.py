"""Contents that stand in the workflow itself."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from retrain.errors import ConfigError


class RawPlace:
    """A text; as bytes it is UTF-8."""

    def __init__(self, data: str) -> None:
        self._data = data.encode("utf-8", "surrogateescape")

    def fetch(self, to: Path, sub: str) -> bool:
        del sub
        to.write_bytes(self._data)
        return False

    def open(self) -> BinaryIO:
        return BytesIO(self._data)

    def put(self, found: Path) -> None:
        del found
        raise ConfigError("raw: is no place for outputs, as upstream")

    def keys(self) -> Iterator[str]:
        raise ConfigError("raw: has no list of keys; artifactPaths take s3 or gcs")

    def delete(self) -> None:
        """There is nothing to delete."""
