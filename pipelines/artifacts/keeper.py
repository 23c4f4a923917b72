"""The port's implementation: finds the place, packs and unpacks, and lets nothing half done be seen.

What is loaded is put together beside its destination under a name of its own and gets its name in one move.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

from pipelines.artifacts.limits import check_space
from pipelines.artifacts.local import Owner
from pipelines.artifacts.local_place import LocalPlace
from pipelines.artifacts.looking import Look, look
from pipelines.artifacts.modes import set_mode
from pipelines.artifacts.packing import members_of, pack
from pipelines.artifacts.place import remove
from pipelines.artifacts.places import KINDS, Found, Surroundings, find_place
from pipelines.artifacts.port import ArtifactMissing, ArtifactRun, BadArtifact
from pipelines.artifacts.records import Packing, Record
from pipelines.artifacts.unpacking import check_links, is_tarball, unpack
from pipelines.core.nodes import Artifact
from retrain.errors import RetrainError

_NOT_KEPT = frozenset({"from", "fromExpression", *KINDS})
"""Fields of a declared output that its kept form does not have, or has anew: they say where it came from or lies."""


class Keeper:
    """Keeps the files of steps: `pipelines.artifacts.port.Artifacts`."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.local = around.local

    # ---- load ----

    def load(self, artifact: Artifact, to: Path, run: ArtifactRun) -> None:
        with _named(artifact, "load"), _replacing(to) as landing:
            check_space(landing.parent, self._around.limits.reserve)
            self._load(artifact, landing, run)

    def _load(self, artifact: Artifact, to: Path, run: ArtifactRun) -> None:
        parts = (artifact.get("retrain") or {}).get("parts")
        if parts is None:
            self._bring(artifact, to, run)
        else:
            self._gather(artifact, parts, to, run)
        if artifact.get("mode") is not None:
            set_mode(to, int(artifact["mode"]), recurse=bool(artifact.get("recurseMode")))

    def _gather(self, artifact: Artifact, parts: list[Artifact], to: Path, run: ArtifactRun) -> None:
        to.mkdir()
        for part in parts:
            name = str(part.get("name", ""))
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise BadArtifact(f"a part is called {name!r}: that is no name for a file")
            self._load({**part, "subPath": artifact.get("subPath") or part.get("subPath")}, to / name, run)

    def _bring(self, artifact: Artifact, to: Path, run: ArtifactRun) -> None:
        self._around.scratch.mkdir(parents=True, exist_ok=True)
        found = find_place(artifact, run, self._around)
        packing, sub = packing_of(artifact), sub_path(artifact)
        if isinstance(found.place, LocalPlace):
            record = self.local.find(found.place.key)
            if record is not None and _as_kept(record, packing):
                self.local.unpacked(record, to, sub)
                return
        self._fetch(found, to, packing, sub)

    def _fetch(self, found: Found, to: Path, packing: Packing | None, sub: str) -> None:
        landed = to.with_name(to.name + ".as-is")
        if found.place.fetch(landed, sub):
            sub = ""
        if landed.is_dir():  # nothing of it is packed
            _select(landed, to, sub)
            check_links(to)
            return
        packing = packing or ("tar" if is_tarball(landed) else "none")
        if packing == "none":
            if sub:
                raise ArtifactMissing(f"there is no {sub!r} in a single file")
            landed.rename(to)
            return
        opened = to.with_name(to.name + ".unpacked")
        unpack(landed, packing, opened, self._around.limits)
        landed.unlink()
        _select(opened, to, sub)
        if sub:
            check_links(to)

    # ---- save ----

    def save(self, artifact: Artifact, found: Path, run: ArtifactRun) -> Artifact:
        with _named(artifact, "save"):
            source = _real(found)
            packing, level = packing_of(artifact) or "tar", gzip_level(artifact)
            self._around.scratch.mkdir(parents=True, exist_ok=True)
            check_space(self._around.scratch, self._around.limits.reserve)
            place = find_place(artifact, run, self._around, _file_name(artifact, found, packing))
            if isinstance(place.place, LocalPlace):
                owner = Owner(run.run_id, place.named, packing, level)
                self.local.save(place.place.key, source, owner)
            elif packing == "none":
                place.place.put(source)
            else:
                self._put_packed(place, source, packing, level)
        kept = {name: value for name, value in artifact.items() if name not in _NOT_KEPT}
        return {**kept, **place.location}

    def _put_packed(self, place: Found, source: Path, packing: Packing, level: int) -> None:
        archive = self._around.scratch / f"{token_hex(12)}.pack"
        try:
            with archive.open("xb") as out:
                pack(members_of(source), packing, level, out)
            place.place.put(archive)
        finally:
            archive.unlink(missing_ok=True)

    # ---- the rest ----

    def keys(self, artifact: Artifact, run: ArtifactRun) -> Iterator[str]:
        with _named(artifact, "be listed"):
            yield from find_place(artifact, run, self._around).place.keys()

    def open(self, artifact: Artifact, run: ArtifactRun) -> BinaryIO:
        with _named(artifact, "open"):
            return find_place(artifact, run, self._around).place.open()

    def look(self, artifact: Artifact, run: ArtifactRun, path: str, most: int) -> Look:
        with _named(artifact, "be looked at"):
            return look(self._around, artifact, run, path, most)

    def digest(self, artifact: Artifact, run: ArtifactRun) -> str:
        with _named(artifact, "be found"):
            place = find_place(artifact, run, self._around).place
            record = self.local.find(place.key) if isinstance(place, LocalPlace) else None
            return f"sha256:{record.digest}" if record is not None and record.digest else ""

    def delete(self, artifact: Artifact, run: ArtifactRun) -> None:
        with _named(artifact, "be deleted"):
            found = find_place(artifact, run, self._around)
            keys = [str(spec.get("key") or "").strip("/") for spec in found.location.values() if "key" in spec]
            if "" in keys:
                raise BadArtifact("it has no key: that would be the whole repository")
            found.place.delete()


def packing_of(artifact: Artifact) -> Packing | None:
    """How it says it is packed; None if it does not."""
    archive: Mapping[str, Any] = artifact.get("archive") or {}
    kinds: list[Packing] = [kind for kind in ("none", "tar", "zip") if archive.get(kind) is not None]
    if len(kinds) > 1:
        raise BadArtifact(f"archive is one of none, tar and zip, not {' and '.join(kinds)}")
    return kinds[0] if kinds else None


def gzip_level(artifact: Artifact) -> int:
    """`archive.tar.compressionLevel`, -1 (gzip's own, 6) where nothing is said.

    Raises:
        BadArtifact: gzip has no such level.
    """
    level = ((artifact.get("archive") or {}).get("tar") or {}).get("compressionLevel")
    if level is None:
        return -1
    if isinstance(level, bool) or not isinstance(level, int) or not -1 <= level <= 9:
        raise BadArtifact(f"archive.tar.compressionLevel is -1 to 9, not {level!r}")
    return level


def sub_path(artifact: Artifact) -> str:
    """`subPath`, clean; empty for all.

    Raises:
        BadArtifact: it leads out.
    """
    given = str(artifact.get("subPath") or "")
    parts = [part for part in given.split("/") if part not in ("", ".")]
    if given.startswith("/") or ".." in parts or "\0" in given:
        raise BadArtifact(f"subPath {given!r} must be a path inside of the artifact")
    return "/".join(parts)


def _as_kept(record: Record, packing: Packing | None) -> bool:
    """Whether the reader wants the very files that were saved, and no archive has to be looked into."""
    return record.packing == (packing or "tar") != "none"


def _file_name(artifact: Artifact, found: Path, packing: Packing) -> str:
    match packing:
        case "none":
            return posixpath.basename(str(artifact.get("path") or "").rstrip("/")) or found.name
        case "tar":
            return f"{artifact.get('name')}.tgz"
        case "zip":
            return f"{artifact.get('name')}.zip"


def _real(found: Path) -> Path:
    """The file or directory itself. A link is followed only to what lies beside it or below: it is the step's own.

    Raises:
        ArtifactMissing: there is nothing.
        BadArtifact: the link leads elsewhere, or it is a pipe or device.
    """
    try:
        if found.is_symlink():
            target = found.resolve(strict=True)
            if not target.is_relative_to(found.parent.resolve()):
                raise BadArtifact(f"{found.name} is a link that leads out of its directory")
            found = target
        kind = found.lstat().st_mode
    except FileNotFoundError:
        raise ArtifactMissing("no such file or directory") from None
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise BadArtifact(f"{found.name} is no file and no directory")
    return found


def _select(whole: Path, to: Path, sub: str) -> None:
    """Take a part of what was brought, and leave the rest."""
    if not sub:
        whole.rename(to)
        return
    part = whole / sub
    if not (part.exists() and os.path.realpath(part).startswith(os.path.realpath(whole) + os.sep)):
        raise ArtifactMissing(f"there is no {sub!r} in it")
    part.rename(to)
    remove(whole)


@contextmanager
def _replacing(to: Path) -> Generator[Path]:
    """A path that becomes `to` when the block ends well. Its directory is always the same for one `to`: what a killed
    process left there is taken away."""
    to.parent.mkdir(parents=True, exist_ok=True)
    work = to.parent / f".loading-{sha256(os.fsencode(to.name)).hexdigest()[:16]}"
    remove(work)
    work.mkdir(mode=0o700)
    try:
        yield work / "it"
        if os.path.lexists(to):
            to.rename(work / "before")
        (work / "it").rename(to)
    finally:
        remove(work)


@contextmanager
def _named(artifact: Artifact, verb: str) -> Generator[None]:
    """Errors say which artifact it is about, once."""
    try:
        yield
    except RetrainError as error:
        said = str(error)
        if said.startswith("artifact "):
            raise
        raise type(error)(f"artifact {artifact.get('name')} failed to {verb}: {said}") from error
