"""A key of the local repository as a location like any other."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO, cast

from pipelines.artifacts.local import LocalRepository, child
from pipelines.artifacts.port import ArtifactMissing, BadArtifact
from pipelines.artifacts.records import Record


class LocalPlace:
    """What lies at `key`."""

    def __init__(self, repository: LocalRepository, key: str) -> None:
        self.repository = repository
        self.key = key

    def fetch(self, to: Path, sub: str) -> bool:
        record = self.repository.find(self.key)
        if record is not None:
            self._copy(record, to)
            return False
        key = "/".join(part for part in (self.key.rstrip("/"), sub) if part)
        if sub and (record := self.repository.find(key)):
            LocalPlace(self.repository, key).fetch(to, "")
        else:
            self._fetch_folder(to, key)
        return True

    def _fetch_folder(self, to: Path, key: str) -> None:
        root = os.fsencode(to)
        try:
            self._fill(root, key)
        except (FileExistsError, NotADirectoryError) as error:
            raise BadArtifact(f"below {key!r} a key is both a file and a directory: {error.filename!r}") from error
        if not to.exists():
            raise ArtifactMissing(f"nothing lies at {key!r} in the repository")

    def _fill(self, root: bytes, key: str) -> None:
        for record in self.repository.below(key):
            path = child(record, key)
            target = root + b"/" + path if path else root
            os.makedirs(target if record.kind == "empty" else target.rpartition(b"/")[0], exist_ok=True)  # noqa: PTH103
            if record.kind == "empty":
                continue
            self._copy(record, Path(os.fsdecode(target)))

    def _copy(self, record: Record, to: Path) -> None:
        """A record as it lies."""
        if record.packing == "none":
            self.repository.blobs.copy_out(record.digest, record.size, to, record.mode | 0o400)
            return
        with to.open("xb") as out:
            self.repository.packed(record, out)

    def put(self, found: Path) -> None:
        raise NotImplementedError("LocalRepository.save keeps files, it knows more")

    def keys(self) -> Iterator[str]:
        empty = True
        for record in self.repository.below(self.key):
            empty = False
            if record.kind != "empty":
                yield os.fsdecode(record.key)
        if empty and self.repository.find(self.key) is None:
            raise ArtifactMissing(f"no key found of name {self.key}")

    def open(self) -> BinaryIO:
        record = self.repository.find(self.key)
        if record is not None and record.packing == "none":
            return cast("BinaryIO", BufferedReader(FileIO(self.repository.blobs.open(record.digest, record.size))))
        if record is None:
            raise ArtifactMissing(f"nothing lies at {self.key!r} in the repository")
        out = cast("BinaryIO", tempfile.TemporaryFile(dir=self.repository.root))  # noqa: SIM115
        self.repository.packed(record, out)
        out.seek(0)
        return out

    def delete(self) -> None:
        self.repository.delete(self.key)
