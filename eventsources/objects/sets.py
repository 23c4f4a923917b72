"""Data sets of many parts: which objects belong together, and what one set consists of. Pure.

A set is a folder: all objects whose keys begin with it. With a marker (`_SUCCESS`) it is the folder that holds the
marker, with everything below; else the folder that a pattern names (`train/*/`), with everything below; else each
object's own folder, without what lies in folders below.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from eventsources.duration import seconds
from eventsources.fields import Path, check_duration
from eventsources.objects.s3_records import ObjectVersion
from retrain.events import JsonValue
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

QUIET = "30s"
MAX_LISTED = 400_000
"""Characters, about, that the list of a set's parts may have in an event: the bus takes messages of 1 MiB."""

PART_OVERHEAD = 120


class Stable(Shape):
    """A set is whole when nothing in it has changed for `quiet`. `folder`: which folders are sets, as in `train/*/`."""

    quiet: str = QUIET
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a set, and when it is whole. `settles`: a set with its marker waits for `quiet_s`, too."""

    quiet_s: float
    marker: str = ""
    folder: str = ""
    suffix: str = ""
    settles: bool = True

    def folders(self, key: str) -> list[str]:
        """The sets that an object may be part of: folders, each ending in `/` (or empty, the bucket itself)."""
        parts = key.split("/")[:-1]
        if self.marker:
            return ["".join(f"{one}/" for one in parts[:depth]) for depth in range(len(parts) + 1)]
        if not self.folder:
            return ["".join(f"{one}/" for one in parts)]
        wanted = self.folder.strip("/").split("/")
        if len(parts) < len(wanted) or any(w not in ("*", p) for w, p in zip(wanted, parts, strict=False)):
            return []
        return ["".join(f"{one}/" for one in parts[: len(wanted)])]

    def is_marker(self, key: str) -> bool:
        return bool(self.marker) and key.rpartition("/")[2] == self.marker

    def is_part(self, key: str) -> bool:
        """Whether the object is data: neither a marker, nor what consoles make to show an empty folder."""
        return not key.endswith("/") and not self.is_marker(key) and key.endswith(self.suffix)


def rule_of(stable: Stable | None, marker: str, suffix: str) -> Rule | None:
    """The rule of a source's spec; None where each object is an event of its own."""
    if stable is None and not marker:
        return None
    stable_or_usual = stable or Stable()
    return Rule(seconds(stable_or_usual.quiet), marker, stable_or_usual.folder, suffix, settles=stable is not None)


def check_sets(path: Path, stable: Stable | None, marker: str) -> Iterator[Problem]:
    """What is wrong with `stable` and `marker`."""
    if "/" in marker:
        message = f"marker {marker!r} is the name of an object in the set's folder, such as _SUCCESS, without slashes"
        yield Problem((*path, "marker"), "wrong-value", message)
    if stable is None:
        return
    yield from check_duration((*path, "stable", "quiet"), stable.quiet, least=0.1)
    if stable.folder and marker:
        message = "folder means nothing beside marker: a set is the folder that holds the marker"
        yield Problem((*path, "stable", "folder"), "wrong-value", message)
    for part in stable.folder.strip("/").split("/") if stable.folder else ():
        if not part or ("*" in part and part != "*"):
            message = f"folder {stable.folder!r} is like train/*/: names and `*` for one name, with slashes between"
            yield Problem((*path, "stable", "folder"), "wrong-value", message)
            return


@dataclass(slots=True)
class DataSet:
    """One set, as a listing shows it: parts come in the order of their keys."""

    folder: str
    count: int = 0
    size: int = 0
    newest: datetime | None = None
    marker: ObjectVersion | None = None
    parts: list[dict[str, JsonValue]] = field(default_factory=list[dict[str, JsonValue]])
    _digest: object = field(default_factory=sha256)
    _room: int = MAX_LISTED

    @property
    def digest(self) -> str:
        """Of keys, sizes and etags of all parts, whether they are listed or not."""
        return f"sha256:{self._digest.hexdigest()}"  # type: ignore[attr-defined]

    def add(self, one: ObjectVersion) -> None:
        """One part more."""
        self.count += 1
        self.size += one.size
        self.newest = max(filter(None, (self.newest, one.modified)), default=None)
        line = f"{len(one.key.encode())}:{one.key}\n{one.size}\n{one.etag}\n"
        self._digest.update(line.encode())  # type: ignore[attr-defined]
        self._room -= len(one.key) + PART_OVERHEAD
        if self._room >= 0:
            part: dict[str, JsonValue] = {"key": one.key, "size": one.size, "etag": one.etag}
            self.parts.append(part | ({"versionId": one.version} if one.version else {}))

    def data(self, bucket: str) -> dict[str, JsonValue]:
        """The event's data."""
        found: dict[str, JsonValue] = {
            "bucket": bucket,
            "folder": self.folder,
            "count": self.count,
            "bytes": self.size,
            "digest": self.digest,
            "parts": self.parts,
        }
        if self.count > len(self.parts):
            found["partsLeftOut"] = self.count - len(self.parts)
        if self.marker is not None:
            found["marker"] = self.marker.key
        return found


class Walk:
    """Gathers sets from a listing in the order of keys. In memory are those only that the walk is in."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._open: dict[str, DataSet] = {}

    def add(self, versions: Iterable[ObjectVersion]) -> list[DataSet]:
        """The next objects; the sets that are complete with what came before them."""
        done: list[DataSet] = []
        for one in versions:
            done += self._close(one.key)
            if one.latest and not one.marker:
                self._put(one)
        return done

    def end(self) -> list[DataSet]:
        """The rest, when there are no more."""
        done, self._open = list(self._open.values()), {}
        return done

    def _close(self, key: str) -> list[DataSet]:
        done = [self._open.pop(folder) for folder in list(self._open) if not key.startswith(folder)]
        return [one for one in done if one.count]

    def _put(self, one: ObjectVersion) -> None:
        if self._rule.is_marker(one.key):
            folder = one.key.rpartition("/")[0]
            self._set(f"{folder}/" if folder else "").marker = one
        if self._rule.is_part(one.key):
            for folder in self._rule.folders(one.key):
                self._set(folder).add(one)

    def _set(self, folder: str) -> DataSet:
        return self._open.setdefault(folder, DataSet(folder))


@dataclass(frozen=True, slots=True)
class Known:
    """What was told of a set last."""

    digest: str
    newest: str
    count: int

    def only_shrunk(self, now: DataSet) -> bool:
        """Whether parts were taken away since and none came: nothing new to learn from."""
        newest = now.newest.isoformat() if now.newest else ""
        return newest <= self.newest and now.count < self.count
