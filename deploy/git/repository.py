"""A deployment repository: read files of a branch, put a commit on top of it. By plumbing, without a work tree.

Each repository has a bare, shallow, blobless cache that may be deleted at any time. No checkout means no hooks, no
filters, no symlinks to follow; and a repository of 10,000 files costs what the few edited ones cost.
"""

from __future__ import annotations

import fcntl
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from deploy.git.command import Git, GitFailed, Race, Rejected, classify, scrub
from retrain.errors import Refused, Transient

_REF = "refs/retrain/base"
_FILE = "100644"
_MODES = {"120000": "a symbolic link", "160000": "a submodule", "40000": "a folder"}
MAX_PACKS = 100
"""Packs of a cache before it is thrown away: it is cheaper to fetch one tree again than to repack."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who a commit is by, and when; `seconds` since 1970, UTC. The same author and base give the same commit."""

    name: str
    email: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree object."""

    mode: str
    name: bytes
    oid: str


class Repository:
    """One remote repository and its cache. Blocking; hold `locked()` around a fetch and what builds on it."""

    def __init__(self, git: Git, url: str, caches: Path) -> None:
        self.url = url
        self._git = git
        self._caches = caches
        self._folder = caches / f"{sha256(url.encode()).hexdigest()[:24]}.git"
        self._reused = False

    @contextmanager
    def locked(self) -> Generator[None]:
        """Hold the cache against other processes. Waits as long as they work; their commands have deadlines.

        Raises:
            Transient: what failed inside for no reason that git's words give may be an old cache's fault: a git that
                was killed leaves locks, a power cut leaves empty objects. It is thrown away; with a new one it would
                be GitFailed.
        """
        self._caches.mkdir(parents=True, exist_ok=True)
        with self._folder.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            except GitFailed as error:
                self._throw_away()
                if not self._reused:
                    raise
                raise Transient(f"{error}; once more with a new cache") from error

    def probe(self) -> None:
        """Ask whether the remote is there.

        Raises:
            Transient, Permanent: it is not, in git's words.
        """
        self._git.run(None, "ls-remote", "--heads", "--", self.url, network=True)

    def fetch(self, branch: str) -> str:
        """Get the branch's tip (its commit and trees); the commit's SHA.

        Raises:
            Refused: there is no such branch; the message names those that exist.
            Transient, Permanent: the remote is away, or says no.
        """
        self._open()
        arguments = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--depth=1")
        refspec = f"+refs/heads/{branch}:{_REF}"
        tail = ("--", "origin", refspec)
        code, _, err = self._git.attempt(self._folder, *arguments, "--filter=blob:none", *tail, network=True)
        if code and b"filter" in err:  # some servers refuse filters instead of ignoring them
            code, _, err = self._git.attempt(self._folder, *arguments, *tail, network=True)
        if code:
            text = err.decode(errors="replace")
            if "couldn't find remote ref" in text:
                raise Refused(f"{self.url} has no branch {branch!r}; {self._branches()}")
            failure = classify(text)
            # Who reads loses no race, and `origin` has an address: it is our own cache that is locked or damaged.
            damaged = isinstance(failure, Race) or "'origin' does not appear" in text
            raise GitFailed(str(failure)) if damaged else failure
        return self._git.run(self._folder, "rev-parse", "--verify", "-q", f"{_REF}^{{commit}}").decode().strip()

    def _open(self) -> None:
        packs = self._folder / "objects" / "pack"
        if packs.is_dir() and sum(1 for _ in packs.iterdir()) > MAX_PACKS * 3:
            self._throw_away()
        self._reused = (self._folder / "ready").exists()
        if self._reused:
            return
        self._throw_away()
        self._git.run(None, "init", "-q", "--bare", "--template=", "--", str(self._folder))
        for name, value in (
            ("remote.origin.url", self.url),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
        ):
            self._git.run(self._folder, "config", "--", name, value)
        (self._folder / "ready").touch()

    def _throw_away(self) -> None:
        """Begin without a cache. In one move: a git that outlived its platform may still write into the old one."""
        if self._folder.exists():
            grave = tempfile.mkdtemp(prefix="gone-", dir=self._caches)
            self._folder.rename(Path(grave) / self._folder.name)
        for grave in self._caches.glob("gone-*"):
            shutil.rmtree(grave, ignore_errors=True)

    def _branches(self) -> str:
        lines = self._git.run(self._folder, "ls-remote", "--heads", "--", "origin", network=True).decode(
            errors="replace"
        )
        names = [line.partition("refs/heads/")[2] for line in lines.splitlines()]
        return f"there are {', '.join(names[:20])}" if names else "it has none yet, make a first commit"

    def read(self, base: str, files: Sequence[str], optional: str | None = None) -> dict[str, bytes | None]:
        """The contents of files at a commit; None for `optional` where it is missing.

        Raises:
            Refused: another one is missing (the message names what is there), or is no plain file.
        """
        wanted = [*files, *([optional] if optional else [])]
        trees = self._trees(base, wanted)
        found: dict[str, str] = {}
        for file in wanted:
            folder, _, name = file.rpartition("/")
            entry = _entry(trees.get(folder), name)
            if entry is None and file != optional:
                raise Refused(f"{file}: is not there; {_nearest(trees, file)}")
            if entry is not None:
                _check_mode(file, entry)
                found[file] = entry.oid
        blobs = self._objects([f"{oid}" for oid in found.values()], network=True)
        return {file: blobs[found[file]] if file in found else None for file in wanted}

    def _trees(self, base: str, files: Sequence[str]) -> dict[str, list[Entry] | None]:
        """The trees on the way to files, by folder ("" is the root); None where there is no such folder."""
        folders = {""}
        for file in files:
            parts = file.split("/")[:-1]
            folders |= {"/".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
        ordered = sorted(folders)
        # A submodule on the way is never asked for: git would try to fetch its commit from here.
        trees: dict[str, list[Entry] | None] = {}
        names = {folder: f"{base}:{folder}" for folder in ordered}
        contents = self._objects(list(names.values()), kind=b"tree")
        width = len(base) // 2
        for folder in ordered:
            raw = contents[names[folder]]
            trees[folder] = None if raw is None else _read_tree(raw, width)
        return trees

    def _objects(
        self, names: Sequence[str], kind: bytes = b"blob", *, network: bool = False
    ) -> dict[str, bytes | None]:
        """Objects by name (a SHA, or `commit:folder`); None where there is none of that kind."""
        if not names:
            return {}
        asked = "".join(f"{name}\n" for name in names).encode()
        out = self._git.run(self._folder, "cat-file", "--batch", stdin=asked, network=network)
        found: dict[str, bytes | None] = {}
        at = 0
        for name in names:
            end = out.index(b"\n", at)
            header = out[at:end].split(b" ")
            at = end + 1
            if header[-1].isdigit() and len(header) == 3:
                size = int(header[-1])
                found[name] = out[at : at + size] if header[1] == kind else None
                at += size + 1
            else:
                found[name] = None
        return found

    def commit(self, base: str, files: Mapping[str, bytes], message: str, author: Author) -> str:
        """Make a commit on top of `base` in which `files` have new contents; its SHA. Nothing leaves this machine.

        Deterministic: the same arguments give the same SHA.
        """
        trees = self._trees(base, list(files))
        root = self._write_tree("", trees, files)
        stamp = f"{author.seconds} +0000"
        who = {
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
            "GIT_COMMITTER_DATE": stamp,
        }
        out = self._git.run(self._folder, "commit-tree", root, "-p", base, "-F", "-", stdin=message.encode(), extra=who)
        commit = out.decode().strip()
        self._check_reach(base, commit, files)
        return commit

    def _write_tree(self, folder: str, trees: Mapping[str, list[Entry] | None], files: Mapping[str, bytes]) -> str:
        entries = {entry.name: entry for entry in trees.get(folder) or []}
        inside = folder + "/" if folder else ""
        for name in sorted({file[len(inside) :].split("/")[0] for file in files if file.startswith(inside)}):
            raw, path = name.encode(), inside + name
            old = entries.get(raw)
            if path in files:
                oid = self._git.run(self._folder, "hash-object", "-w", "--stdin", stdin=files[path]).decode().strip()
                entries[raw] = Entry(old.mode if old else _FILE, raw, oid)
            else:
                if old is not None and old.mode != "40000":
                    raise Refused(f"{path}: is {_MODES.get(old.mode, 'a file')}, not a folder")
                entries[raw] = Entry("40000", raw, self._write_tree(path, trees, files))
        lines = b"".join(
            b"%s %s %s\t%s\0" % (e.mode.encode(), _type(e.mode), e.oid.encode(), e.name) for e in entries.values()
        )
        return self._git.run(self._folder, "mktree", "-z", "--missing", stdin=lines).decode().strip()

    def _check_reach(self, base: str, commit: str, files: Mapping[str, bytes]) -> None:
        """Show that the commit touches the declared files and nothing else."""
        out = self._git.run(self._folder, "diff-tree", "-r", "--name-only", "--no-renames", "-z", base, commit)
        touched = {name.decode(errors="replace") for name in out.split(b"\0") if name}
        if extra := touched - set(files):
            raise GitFailed(f"the commit would touch {', '.join(sorted(extra)[:5])} too; nothing was pushed")

    def push(self, base: str, commit: str, branch: str) -> None:
        """Move the branch from `base` to `commit`, if it is still at `base`.

        The lease matters even for a fast-forward: without it a branch that was rewound would get back what was removed.

        Raises:
            Race: the branch is somewhere else by now.
            Rejected, AuthFailed: the server's rules say no.
            Transient: it is not known whether the push arrived.
        """
        ref = f"refs/heads/{branch}"
        code, out, err = self._git.attempt(
            self._folder,
            *("push", "--porcelain", "--no-verify", f"--force-with-lease={ref}:{base}", "--"),
            *("origin", f"{commit}:{ref}"),
            network=True,
        )
        line = _porcelain(out.decode(errors="replace"), ref)
        if code == 0 and line is not None and line[0] in " =*":
            return
        words = f"{line[1] if line else ''}\n{err.decode(errors='replace')}"
        if line is not None and line[0] == "!":
            failure = classify(line[1])
            # "[remote rejected] (reason)" is the server's own no, whatever words it finds for it.
            known = isinstance(failure, Race | Rejected)
            if not known and "remote rejected" in line[1]:
                raise Rejected(scrub(words))
            raise type(failure)(scrub(words))
        # A line that reports no refusal, and yet it failed: somebody died on the way, maybe after the branch had moved.
        raise classify(words) if line is None else Transient(scrub(words))


def _porcelain(out: str, ref: str) -> tuple[str, str] | None:
    """The flag and the summary of the line about `ref` in the output of `push --porcelain`."""
    for line in out.splitlines():
        parts = line.split("\t")
        if len(parts) >= 3 and parts[1].endswith(f":{ref}"):
            return parts[0], parts[2]
    return None


def _read_tree(raw: bytes, width: int) -> list[Entry]:
    entries: list[Entry] = []
    at = 0
    while at < len(raw):
        space, end = raw.index(b" ", at), raw.index(b"\0", at)
        oid = raw[end + 1 : end + 1 + width].hex()
        entries.append(Entry(raw[at:space].decode(), raw[space + 1 : end], oid))
        at = end + 1 + width
    return entries


def _type(mode: str) -> bytes:
    return {"40000": b"tree", "160000": b"commit"}.get(mode, b"blob")


def _entry(tree: list[Entry] | None, name: str) -> Entry | None:
    raw = name.encode()
    return next((entry for entry in tree or [] if entry.name == raw), None)


def _check_mode(file: str, entry: Entry) -> None:
    if re.fullmatch(r"100[67][45][45]", entry.mode) is None:
        raise Refused(f"{file}: is {_MODES.get(entry.mode, 'no file')}, not a plain file")


def _nearest(trees: Mapping[str, list[Entry] | None], file: str) -> str:
    """What is there, in the deepest folder of the path that exists."""
    folder = file.rpartition("/")[0]
    while folder and trees.get(folder) is None:
        folder = folder.rpartition("/")[0]
    tree = trees.get(folder) or []
    step = file.removeprefix(f"{folder}/" if folder else "").split("/")[0]
    entry = _entry(tree, step)
    if entry is not None and entry.mode in {"120000", "160000"}:
        return f"{folder + '/' if folder else ''}{step} is {_MODES[entry.mode]}"
    names = ", ".join(entry.name.decode(errors="replace") for entry in tree[:20]) or "nothing"
    return f"{folder or 'the root'} holds {names}"
