"""What a back-up is made of: files with checksums and a manifest that lists them, in a directory or in one tar.

manifest.json          what it is a back-up of: versions, positions, and each file with its bytes and SHA-256
store.db               the SQL database, one moment of it
bus/stream.json        the stream's configuration and state
bus/stream.snapshot    the stream, as JetStream hands it out: every event up to a moment after the store's
records.db             the table of the artifacts, and then
data/...               artifacts, volumes, files of firings and (if wanted) logs, as they lie in the data directory
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from retrain.errors import ConfigError

FORMAT: Literal[1] = 1
MANIFEST = "manifest.json"
STORE = "store.db"
RECORDS = "records.db"
HEAD, STREAM = "bus/stream.json", "bus/stream.snapshot"
PIECE = 1 << 20
MOST_MANIFEST = 1 << 20
"""Bytes of a manifest at most."""


class File(BaseModel):
    """One file. `path` is below the back-up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    bytes: int
    sha256: str


class Log(BaseModel):
    """The stream: its name, and where it begins and ends. `server`: the version that handed it out."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stream: str
    first: int
    last: int


class Manifest(BaseModel):
    """What a back-up says of itself. `data`: the directory it is of; `read`: how far the sensors were in the log; `log`
    None: the bus is not part of it. `gone`: files that were deleted while it was made, which nothing refers to."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: int
    created: str
    retrain: str
    schema_revision: str
    data: str
    read: int
    log: Log | None
    counts: dict[str, int]
    parts: tuple[str, ...]
    files: tuple[File, ...]
    gone: int = 0

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(one.bytes for one in self.files)


class Sink(Protocol):
    """Where the files of a back-up go."""

    def take(self, name: str, path: Path) -> File:
        """Put a file there, and away from where it is."""
        ...

    def finish(self, manifest: bytes) -> None:
        """Put the manifest there, and let nothing be lost by a power cut."""
        ...


class DirectorySink:
    """A directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def take(self, name: str, path: Path) -> File:
        target = self._root / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("rb") as source:
            hashing = Hashing(source)
            while hashing.read(PIECE):
                pass
            os.fsync(source.fileno())
        path.rename(target)
        return File(path=name, bytes=hashing.count, sha256=hashing.digest)

    def finish(self, manifest: bytes) -> None:
        with _private(self._root / MANIFEST) as to:
            to.write(manifest)
            to.flush()
            os.fsync(to.fileno())


class TarSink:
    """One tar."""

    def __init__(self, file: IO[bytes], *, packed: bool) -> None:
        self._file = file
        # Closed by `finish`; one that is not finished is thrown away.
        if packed:
            self._tar = tarfile.open(fileobj=file, mode="w:gz", compresslevel=3)  # noqa: SIM115
        else:
            self._tar = tarfile.open(fileobj=file, mode="w")  # noqa: SIM115

    def take(self, name: str, path: Path) -> File:
        with path.open("rb") as source:
            info = tarfile.TarInfo(name)
            info.size, info.mode = os.fstat(source.fileno()).st_size, 0o600
            hashing = Hashing(source)
            self._tar.addfile(info, hashing)
        path.unlink()
        return File(path=name, bytes=hashing.count, sha256=hashing.digest)

    def finish(self, manifest: bytes) -> None:
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(manifest), 0o600
        self._tar.addfile(info, io.BytesIO(manifest))
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())


class Hashing:
    """A file that is read, with the digest of what was read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        found = self._file.read(size)
        self._hash.update(found)
        self.count += len(found)
        return found

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def is_tar(path: Path) -> bool:
    """Whether a back-up of this name is one file."""
    return path.name.endswith((".tar", ".tar.gz", ".tgz"))


@contextmanager
def opened(target: Path) -> Generator[Sink]:
    """A new back-up: a directory, or a file where the name says tar. It has its name when it is whole, else it is gone.

    Raises:
        ConfigError: there is something of that name already, or it cannot be made.
    """
    if target.exists():
        raise ConfigError(f"{target}: is there already; a back-up is written to a new name")
    part = target.with_name(f".{target.name}.part")
    try:
        remove(part)
        if is_tar(target):
            with _private(part) as file:
                yield TarSink(file, packed=not target.name.endswith(".tar"))
        else:
            part.mkdir(mode=0o700)
            yield DirectorySink(part)
        part.rename(target)
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        remove(part)


def remove(path: Path) -> None:
    """Take away a file or a directory, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# --- reading ---------------------------------------------------------------------------------------------------------


def parts_of(source: Path) -> Generator[tuple[str, IO[bytes]]]:
    """The files of a back-up, one after the other, each to be read before the next is asked for. The manifest is one.

    Raises:
        ConfigError: it is no back-up, or a file of it has a name that leads elsewhere.
    """
    if not source.exists():
        raise ConfigError(f"{source}: is not there")
    try:
        yield from _of_tar(source) if source.is_file() else _of_directory(source)
    except tarfile.TarError as error:
        raise ConfigError(f"{source}: is no back-up, or a torn one: {error}") from error
    except EOFError as error:
        raise ConfigError(f"{source}: ends in the middle") from error


def _of_tar(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(source, mode="r:*") as tar:
        for member in tar:
            if not member.isfile():
                raise ConfigError(f"{source}: {member.name!r} is no plain file: this is no back-up of Retrain")
            content = tar.extractfile(member)
            assert content is not None
            yield checked(member.name), content


def _of_directory(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    if not (source / MANIFEST).is_file():
        raise ConfigError(f"{source}: has no {MANIFEST}: this is no back-up, or it was not finished")
    for folder, _, names in os.walk(source):
        for name in names:
            path = Path(folder) / name
            if path.is_symlink() or not path.is_file():
                raise ConfigError(f"{path}: is no plain file: this is no back-up of Retrain")
            with path.open("rb") as content:
                yield checked(path.relative_to(source).as_posix()), content


def checked(name: str) -> str:
    """The name, if it stays where it belongs.

    Raises:
        ConfigError: it would lead out of the back-up.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or str(path) in {"", "."}:
        raise ConfigError(f"{name!r}: leads out of the back-up; nothing was taken from it")
    return str(path)


def read_manifest(text: bytes) -> Manifest:
    """What a back-up says of itself.

    Raises:
        ConfigError: it is none that this Retrain can read.
    """
    try:
        found = Manifest.model_validate(orjson.loads(text))
    except (orjson.JSONDecodeError, ValidationError) as error:
        raise ConfigError(f"{MANIFEST} is none of a back-up: {type(error).__name__}") from error
    if found.format != FORMAT:
        raise ConfigError(f"{MANIFEST}: format {found.format} is unknown here; use Retrain {found.retrain}")
    return found


def written(manifest: Manifest) -> bytes:
    """The manifest as text."""
    words: dict[str, Any] = manifest.model_dump()
    return orjson.dumps(words, option=orjson.OPT_INDENT_2)


def _private(path: Path) -> IO[bytes]:
    """A new file that only its owner can read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
