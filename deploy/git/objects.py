"""Reading commits, trees and blobs of a bare repository, by one `git cat-file` that stays open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from subprocess import Popen

from deploy.git.command import deadline
from deploy.git.errors import GitFailed
from retrain.errors import Refused, RetrainError, Transient

MAX_FILE = 16 * 1024 * 1024
"""Bytes of a file that is read for an edit; a manifest has thousands, not millions."""
MODES = {"120000": "a symbolic link", "160000": "a submodule", "40000": "a folder"}
_TREE = "40000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree object."""

    mode: str
    name: bytes
    oid: str


@dataclass(frozen=True, slots=True)
class Object:
    """An object; `body` is None if it is longer than what was asked for."""

    oid: str
    kind: str
    size: int
    body: bytes | None


Trees = dict[str, dict[bytes, Entry] | None]
"""Trees by folder ("" is the root), each by name; None where there is no such folder."""


class Objects:
    """Asks a running `git cat-file --batch`. Nothing is fetched: what is not in the cache is None."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process

    def get(self, name: str, limit: int = MAX_FILE) -> Object | None:
        """An object by its SHA or an expression such as `COMMIT^{tree}`; None where there is none.

        Raises:
            GitFailed: git gave up: an object is damaged.
            Transient: git was killed, or took longer than a minute.
        """
        with deadline(self._process):
            return self._get(name, limit)

    def _get(self, name: str, limit: int) -> Object | None:
        asked, said = self._process.stdin, self._process.stdout
        assert asked is not None
        assert said is not None
        try:
            asked.write(f"{name}\n".encode())
            asked.flush()
        except BrokenPipeError:
            raise self._ended(name) from None
        header = said.readline().split()
        if not header:
            raise self._ended(name)
        if len(header) != 3 or not header[2].isdigit():
            return None
        size = int(header[2])
        body = self._body(size, keep=size <= limit)
        return Object(header[0].decode(), header[1].decode(), size, body)

    def _ended(self, name: str) -> RetrainError:
        """Why git says nothing more. Who stops the platform, or kills processes, has not damaged anything."""
        code = self._process.wait()  # the deadline is still running
        if code < 0:
            return Transient(f"git cat-file: ended by signal {-code}")
        return GitFailed(f"git cat-file could not read {name[:80]}: the cache is damaged")

    def _body(self, size: int, *, keep: bool) -> bytes | None:
        said = self._process.stdout
        assert said is not None
        parts: list[bytes] = []
        left = size + 1  # a line end follows
        while left:
            part = said.read(min(left, 1 << 20))
            if not part:
                raise self._ended("all of an object")
            left -= len(part)
            if keep:
                parts.append(part)
        return b"".join(parts)[:-1] if keep else None

    def trees(self, commit: str, files: Iterable[str]) -> Trees:
        """The trees on the way to files.

        Raises:
            GitFailed: a tree that another names is not in the cache.
        """
        found: Trees = {"": self._tree(f"{commit}^{{tree}}")}
        for folder in sorted(_folders(files)):
            above, _, name = folder.rpartition("/")
            entry = entry_of(found.get(above), name)
            # A submodule on the way is never asked for: its commit is not from here.
            found[folder] = self._tree(entry.oid) if entry and entry.mode == _TREE else None
        return found

    def _tree(self, name: str) -> dict[bytes, Entry]:
        one = self.get(name, 1 << 30)
        if one is None or one.kind != "tree" or one.body is None:
            raise GitFailed(f"{name[:80]}: the cache lacks a tree")
        return {entry.name: entry for entry in read_tree(one.body, len(one.oid) // 2)}


def _folders(files: Iterable[str]) -> set[str]:
    folders: set[str] = set()
    for file in files:
        parts = file.split("/")[:-1]
        folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return folders


def read_tree(raw: bytes, width: int) -> list[Entry]:
    """The lines of a tree object; `width` is that of a SHA in bytes."""
    entries: list[Entry] = []
    at = 0
    while at < len(raw):
        space, end = raw.index(b" ", at), raw.index(b"\0", at)
        oid = raw[end + 1 : end + 1 + width].hex()
        entries.append(Entry(raw[at:space].decode(), raw[space + 1 : end], oid))
        at = end + 1 + width
    return entries


def entry_of(tree: dict[bytes, Entry] | None, name: str) -> Entry | None:
    """The entry with that name, None where there is none."""
    return (tree or {}).get(name.encode())


def find(trees: Trees, file: str) -> Entry | None:
    """A file's entry; None where it is not there and could be.

    Raises:
        Refused: it, or something on the way, is a link, a submodule, or a folder or file where the other should be.
    """
    folder, _, name = file.rpartition("/")
    if trees.get(folder) is None:
        _check_way(trees, file)
        return None
    entry = entry_of(trees[folder], name)
    if entry is not None and re.fullmatch(r"100[67][45][45]", entry.mode) is None:
        raise Refused(f"{file}: is {MODES.get(entry.mode, 'no file')}, not a plain file")
    return entry


def _check_way(trees: Trees, file: str) -> None:
    parts = file.split("/")
    for depth, name in enumerate(parts[:-1]):
        entry = entry_of(trees.get("/".join(parts[:depth])), name)
        if entry is not None and entry.mode != _TREE:
            what = f"{'/'.join(parts[: depth + 1])} is {MODES.get(entry.mode, 'a file')}"
            raise Refused(f"{file}: {what}, not a folder")


def nearest(trees: Trees, file: str) -> str:
    """What is there, in the deepest folder of the path that exists."""
    folder = file.rpartition("/")[0]
    while folder and trees.get(folder) is None:
        folder = folder.rpartition("/")[0]
    entries = list((trees.get(folder) or {}).values())[:20]
    names = ", ".join(entry.name.decode(errors="replace") for entry in entries) or "nothing"
    return f"{folder or 'the root'} holds {names}"


def changed(before: Trees, after: Trees, files: Sequence[str]) -> set[str]:
    """The paths that differ between two commits, beside `files`: empty if the second touches those alone."""
    wanted = set(files)
    found: set[str] = set()
    for folder in before.keys() | after.keys():
        old, new = before.get(folder) or {}, after.get(folder) or {}
        for name in old.keys() | new.keys():
            path = f"{folder}/" * bool(folder) + name.decode(errors="replace")
            if old.get(name) != new.get(name) and path not in wanted and path not in after:
                found.add(path)
    return found
