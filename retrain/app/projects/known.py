"""What of a project is known already: files that did not change since they were read are not read again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from retrain.app.projects.catalog import Item, build
from retrain.manifests import Document, Finding, Kinds

Stamp = tuple[int, int, int, int]
"""What changes when a file does: inode, size, and when its content and its entry were changed (nanoseconds)."""

Loaded = tuple[list[Document], list[Finding]]
Built = tuple[Item | None, list[Finding]]


@dataclass(slots=True)
class Known:
    """Files by path with their documents, and what was made of each document. One project's; grows with no reload."""

    _files: dict[Path, tuple[Stamp | None, Loaded]] = field(default_factory=dict[Path, tuple[Stamp | None, Loaded]])
    _built: dict[int, tuple[Document, Built]] = field(default_factory=dict[int, tuple[Document, Built]])
    _used_files: set[Path] = field(default_factory=set[Path])
    _used: set[int] = field(default_factory=set[int])

    def load(self, path: Path, read: Callable[[Path], Loaded]) -> Loaded:
        """What a file holds: as it was read last, or read now if it has changed."""
        # Before reading: a file that is written to meanwhile is read again the next time.
        stamp = stamp_of(path)
        self._used_files.add(path)
        known = self._files.get(path)
        if known is not None and stamp is not None and known[0] == stamp:
            return known[1]
        loaded = read(path)
        self._files[path] = stamp, loaded
        return loaded

    def build(self, document: Document, installed: Mapping[str, Kinds]) -> Built:
        """A document with its model; the very same as last time if the document is."""
        self._used.add(id(document))
        known = self._built.get(id(document))
        if known is not None and known[0] is document:
            return known[1]
        built = build(document, installed)
        self._built[id(document)] = document, built
        return built

    def forget_unused(self) -> None:
        """Drop what the last load did not ask for."""
        for path in self._files.keys() - self._used_files:
            del self._files[path]
        for one in self._built.keys() - self._used:
            del self._built[one]
        self._used_files.clear()
        self._used.clear()


def stamp_of(path: str | Path) -> Stamp | None:
    """What changes when the file does; None if it cannot be looked at."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def without_collecting() -> Generator[None]:
    """Hold the garbage collector back: while a million small things are made that all stay, it only looks at them
    again and again. Takes half of the time of loading ten thousand manifests."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
