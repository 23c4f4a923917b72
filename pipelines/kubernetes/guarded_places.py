"""What an event reaches by way of something that the sensor has: volumes that another step mounts, artifacts that are
manifests, objects that are rights themselves. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any, cast

from pipelines.kubernetes.guarded import MISSING, Path, is_list, plain, source_of
from pipelines.kubernetes.guarded_fields import OPAQUE, RIGHTS, VOLUMES, Choice, Rule

Volumes = Mapping[str, Mapping[str, Any]]
Found = tuple[Path, Any, Any]
"""Where something is, what it was, and what it is now."""


def rights(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Choice]:
    """What differs of an object that is rights itself: all of it counts."""
    for kind in sorted({str(one.get("kind")) for one in (before, after)} & RIGHTS):
        for name in sorted({*before, *after} - set(OPAQUE.get(kind, ()))):
            if name not in {"kind", "apiVersion"} and before.get(name) != after.get(name):
                yield Choice(name, Rule.KIND, kind)


def mounts(before: Mapping[str, Any], after: Mapping[str, Any], volumes: Volumes) -> Iterator[Choice]:
    """The sensor's own `volumes` that an event has a container mount: it chooses what is in them.

    Where a mount is seen in the container is nobody's right.
    """
    for path, was, mount in _lists(before, after, "volumemounts") if volumes else ():
        name = str(mount.get("name")) if isinstance(mount, Mapping) else ""
        if name in volumes and _elsewhere(was) != _elsewhere(mount):
            for kind, source in volumes[name].items():
                yield from (Choice(".".join(path), one.rule, one.value) for one in source_of(kind, source, (kind,)))


def manifests(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Choice]:
    """Artifacts that an event chooses, for a Workflow whose templates make objects of artifacts (`has_manifests`)."""
    for path, was, artifact in _lists(before, after, "artifacts"):
        if artifact not in (was, MISSING) and (len(path) < 3 or path[-3].casefold() != "outputs"):
            yield Choice(".".join(path), Rule.RESOURCE, plain(artifact))


def bringing(document: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The volumes that bring something, by their names: the kinds of their sources in small letters, and those."""
    for _path, _was, volume in _lists(MISSING, document, "volumes"):
        if isinstance(volume, Mapping):
            found = cast("Mapping[str, Any]", volume)
            if sources := {key.casefold(): one for key, one in found.items() if key.casefold() not in VOLUMES}:
                yield str(found.get("name")), sources


def _elsewhere(mount: Any) -> Any:
    if not isinstance(mount, Mapping):
        return mount
    return {key: value for key, value in cast("Mapping[str, Any]", mount).items() if key != "mountPath"}


def has_manifests(document: Any) -> bool:
    """Whether a template of it takes what it makes from an artifact."""
    if isinstance(document, Mapping):
        found = cast("Mapping[str, Any]", document)
        return any(key.casefold() == "manifestfrom" or has_manifests(value) for key, value in found.items())
    return is_list(document) and any(has_manifests(one) for one in document)


def _lists(before: Any, after: Any, name: str, path: Path = ()) -> Iterator[Found]:
    """The members of all lists of this name, at any depth, with what was in their place."""
    if before is after:
        return
    if isinstance(after, Mapping):
        old = cast("Mapping[str, Any]", before) if isinstance(before, Mapping) else {}
        for key, value in cast("Mapping[str, Any]", after).items():
            if key.casefold() == name and is_list(value):
                yield from _members(old.get(key), value, (*path, key))
            else:
                yield from _lists(old.get(key, MISSING), value, name, (*path, key))
    elif is_list(after):
        for index, (was, value) in enumerate(zip_longest(before if is_list(before) else (), after, fillvalue=MISSING)):
            yield from _lists(was, value, name, (*path, str(index)))


def _members(before: Any, after: Any, path: Path) -> Iterator[Found]:
    pairs = zip_longest(before if is_list(before) else (), after, fillvalue=MISSING)
    yield from (((*path, str(index)), was, value) for index, (was, value) in enumerate(pairs))
