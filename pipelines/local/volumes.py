"""The volumes of a pod as directories of this machine, and where each container sees them.

A volume is made when the first container of the pod mounts it; what nobody mounts is not looked at. Volumes of a pod
live and go with its directory, those of `volumeClaimTemplates` with the run, and those of a PersistentVolumeClaim with
the project's data.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core.happenings import Task
from pipelines.core.volumes import volumes_of
from pipelines.local.environment import PodFacts, expand
from pipelines.local.leaf import References
from pipelines.local.mounts import Mount
from pipelines.local.shapes import Container
from pipelines.local.workspace import safe_name
from retrain.errors import ConfigError

Volume = Mapping[str, Any]

PRIVATE = frozenset({"emptyDir", "ephemeral"})
"""Volumes that begin empty with each pod. `medium` and `sizeLimit` are not looked at."""
_FILE_MODE = 0o644
_LINKS_LEFT = "leads out of the volume"


@dataclass(frozen=True, slots=True)
class Places:
    """Where volumes of each kind are: of the pod, of the run, of the project's claims, and the project itself."""

    pod: Path
    run: Path
    claims: Path
    project: Path


@dataclass(frozen=True, slots=True)
class Volumes:
    """The volumes that a pod may mount, by name; those of its template lie over those of its workflow."""

    declared: Mapping[str, Volume]
    templates: frozenset[str]
    """Names of `volumeClaimTemplates`."""
    places: Places
    facts: PodFacts
    references: References

    @classmethod
    def of(
        cls, task: Task, spec: Mapping[str, Any], places: Places, facts: PodFacts, references: References
    ) -> Volumes:
        """Of a task of a workflow with this spec.

        Raises:
            ConfigError: a text in a volume of the workflow is no expression.
        """
        declared = {str(volume.get("name", "")): volume for volume in volumes_of(spec, task)}
        claims = spec.get("volumeClaimTemplates") or ()
        names = frozenset(str((claim.get("metadata") or {}).get("name", "")) for claim in claims)
        return cls(declared, names, places, facts, references)

    def mounts(self, container: Container, main: Container | None, env: Mapping[str, str]) -> tuple[Mount, ...]:
        """What a container mounts, and with `mirrorVolumeMounts` what the main one does too. Makes what is missing.

        Raises:
            ConfigError: an unknown volume, a kind that a local pod cannot have, or a path out of its volume.
        """
        wanted: list[Mapping[str, Any]] = list(container.get("volumeMounts") or ())
        if container.get("mirrorVolumeMounts") and main is not None:
            taken = {str(one.get("mountPath")) for one in wanted}
            wanted += [one for one in main.get("volumeMounts") or () if str(one.get("mountPath")) not in taken]
        return tuple(self._mount(one, env) for one in wanted)

    def _mount(self, wanted: Mapping[str, Any], env: Mapping[str, str]) -> Mount:
        name, target = str(wanted.get("name", "")), str(wanted.get("mountPath", ""))
        if (
            not target.startswith("/")
            or ".." in PurePosixPath(target).parts
            or PurePosixPath(target) == PurePosixPath("/")
        ):
            raise ConfigError(f"volumeMounts: {name!r}: mountPath {target!r} must be an absolute path below /")
        source, readonly = self._source(name)
        below = str(wanted.get("subPath") or expand(str(wanted.get("subPathExpr") or ""), env))
        return Mount(_sub_path(source, below) if below else source, target, readonly or bool(wanted.get("readOnly")))

    def _source(self, name: str) -> tuple[Path, bool]:
        """The directory (or file) of a volume, made if need be; and whether it is read-only whoever mounts it."""
        if name not in self.declared and name in self.templates:
            return _made(self.places.run / safe_name(name)), False
        if name not in self.declared:
            raise ConfigError(f'volumeMounts: volume "{name}" not found: neither the template nor the workflow has it')
        volume = self.declared[name]
        here = self.places.pod / safe_name(name)
        kinds = [kind for kind in volume if kind != "name"]
        match kinds:
            case [kind] if kind in PRIVATE:
                return _made(here), False
            case ["persistentVolumeClaim"]:
                return self._claim(volume["persistentVolumeClaim"])
            case ["hostPath"]:
                return self._host_path(name, volume["hostPath"]), False
            case ["configMap" | "secret" | "projected" | "downwardAPI"]:
                return self._written(name, kinds[0], volume[kinds[0]] or {}, here), True
            case []:
                return _made(here), False
            case _:
                raise ConfigError(
                    f"volume {name!r}: {'/'.join(kinds)} is not done by local steps; known are emptyDir, configMap, "
                    "secret, projected, downwardAPI, persistentVolumeClaim, ephemeral, and hostPath inside the project"
                )

    def _claim(self, source: Mapping[str, Any]) -> tuple[Path, bool]:
        name = str(source.get("claimName", ""))
        readonly = bool(source.get("readOnly"))
        if name in self.templates:
            return _made(self.places.run / safe_name(name)), readonly
        if ("PersistentVolumeClaim", name) not in self.references:
            raise ConfigError(f'persistentvolumeclaim "{name}" not found: put its document beside the workflow')
        return _made(self.places.claims / safe_name(name)), readonly

    def _host_path(self, name: str, source: Mapping[str, Any]) -> Path:
        given, kind = str(source.get("path", "")), str(source.get("type") or "")
        path, project = Path(os.path.realpath(given)), Path(os.path.realpath(self.places.project))
        if not given.startswith("/") or not path.is_relative_to(project):
            raise ConfigError(f"volume {name!r}: hostPath {given!r} is outside the project directory {project}")
        if kind == "DirectoryOrCreate":
            path.mkdir(parents=True, exist_ok=True)
        elif kind == "FileOrCreate":
            path.touch(exist_ok=True)
        if not path.exists():
            raise ConfigError(f"volume {name!r}: hostPath {given!r} is not there")
        return path

    def _written(self, name: str, kind: str, source: Mapping[str, Any], here: Path) -> Path:
        """A volume of files that are known beforehand. Whole or not at all: a name that is there is finished."""
        if here.exists():
            return here
        part = here.with_name(f"{here.name}.part")
        part.mkdir(parents=True, exist_ok=True, mode=0o755)
        for path, text, mode in self._files(name, kind, source):
            _write(part, path, text, mode)
        part.rename(here)
        return here

    def _files(self, name: str, kind: str, source: Mapping[str, Any]) -> Iterator[tuple[str, str, int]]:
        """(path, text, mode) of each file."""
        mode = int(source.get("defaultMode") or _FILE_MODE)
        if kind == "projected":
            for one in source.get("sources") or ():
                for inner in one:
                    yield from self._files(name, inner, {"defaultMode": mode, **(one[inner] or {})})
        elif kind == "downwardAPI":
            for item in source.get("items") or ():
                yield str(item.get("path", "")), self._downward(item), int(item.get("mode") or mode)
        elif kind in ("configMap", "secret"):
            yield from self._keys(name, kind, source, mode)
        else:
            raise ConfigError(f"volume {name!r}: projected.{kind} is not done by local steps")

    def _downward(self, item: Mapping[str, Any]) -> str:
        if ref := item.get("fieldRef"):
            return self.facts.listing(str(ref.get("fieldPath", "")))
        return self.facts.resource(item.get("resourceFieldRef") or {}, "main")

    def _keys(self, name: str, kind: str, source: Mapping[str, Any], mode: int) -> Iterator[tuple[str, str, int]]:
        what = {"configMap": "ConfigMap", "secret": "Secret"}[kind]
        wanted = str(source.get("secretName") or source.get("name") or "")
        keys = self.references.get((what, wanted))
        if keys is None:
            if source.get("optional"):
                return
            raise ConfigError(f'volume {name!r}: {what.lower()} "{wanted}" not found')
        items = source.get("items")
        if items is None:
            yield from ((key, text, mode) for key, text in keys.items())
            return
        for item in items:
            key = str(item.get("key", ""))
            if key in keys:
                yield str(item.get("path", "")), keys[key], int(item.get("mode") or mode)
            elif not source.get("optional"):
                raise ConfigError(f"volume {name!r}: {what} {wanted!r} has no key {key!r}")


def _made(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o777)
    return path


def _sub_path(volume: Path, below: str) -> Path:
    """A directory or file of a volume; a directory is made where there is nothing.

    Raises:
        ConfigError: it is not below the volume, also not through a link that a step has put there.
    """
    pure = PurePosixPath(below)
    found = volume / pure
    if pure.is_absolute() or ".." in pure.parts or not _is_below(found, volume):
        raise ConfigError(f"volumeMounts: subPath {below!r} {_LINKS_LEFT}")
    if not found.exists():
        found.mkdir(parents=True, exist_ok=True)
    return found


def _write(volume: Path, path: str, text: str, mode: int) -> None:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ConfigError(f"the path {path!r} of a file {_LINKS_LEFT}")
    target = volume / pure
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode(errors="surrogateescape"))
    target.chmod(mode & 0o777)


def _is_below(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
