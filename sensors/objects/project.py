"""The texts that triggers submit: keys of the project's ConfigMaps, and files in its folder; those from elsewhere where
the operator allows it.

A project is read once. When it is loaded again, it gets a new `ProjectSources`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from retrain.errors import ConfigError, NotFound
from sensors.objects.sources import REMOTE, Sources, kind_of
from sensors.trigger_spec import Source

MAX_BYTES = 1024 * 1024
"""Bytes of one object. Kubernetes takes 1.5 MB at most."""


class ProjectSources:
    """`config(name, key)`: a value of a ConfigMap, or NotFound. `remote`: what reads from elsewhere; None if that is
    not allowed."""

    def __init__(self, folder: Path, config: Callable[[str, str], str], remote: Sources | None = None) -> None:
        self._folder = folder.resolve()
        self._config = config
        self._remote = remote
        self._files: dict[str, str] = {}

    def fetch(self, source: Source) -> str:
        """The text of a ConfigMap's key or a file as it was when it was first asked for; of other sources, see there.

        Raises:
            ConfigError: it is not there, lies outside of the project, is too large, or is not allowed.
            NotReadYet: it is elsewhere, and could not be read so far.
        """
        kind = kind_of(source)
        if kind in REMOTE:
            if self._remote is None:
                raise ConfigError(f"source.{kind} is off: the setting sensors.allow_remote_sources turns it on")
            return self._remote.fetch(source)
        if source.configmap is not None:
            return self._from_config(source.configmap.name, source.configmap.key)
        if source.file is not None:
            return self._from_file(source.file.path)
        raise ConfigError(f"source.{kind} has nothing to fetch")

    def _from_config(self, name: str, key: str) -> str:
        try:
            return self._config(name, key)
        except NotFound as error:
            raise ConfigError(f"source.configmap: {error}") from error

    def _from_file(self, path: str) -> str:
        if path not in self._files:
            self._files[path] = _read(self._inside(path))
        return self._files[path]

    def _inside(self, path: str) -> Path:
        file = (self._folder / path).resolve() if path and "\0" not in path else self._folder
        if not file.is_relative_to(self._folder):
            raise ConfigError(f"source.file: {path!r} is not in the project's folder")
        if not file.is_file():
            raise ConfigError(f"source.file: the project has no file {path!r}")
        return file


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"source.file: {file.name} has over {MAX_BYTES} bytes")
        return data.decode()
    except OSError as error:
        raise ConfigError(f"source.file: {file.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"source.file: {file.name} is no text: {error}") from error
