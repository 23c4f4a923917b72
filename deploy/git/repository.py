"""A deployment repository: read files of a branch, put a commit on top of it. By plumbing, without a work tree.

Each repository has a bare, shallow, blobless cache that may be deleted at any time. No checkout means no hooks, no
filters, no symlinks to follow; and a repository of 10,000 files costs what the few edited ones cost.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

from deploy.git import writing
from deploy.git.access import Access
from deploy.git.answers import line_about, refusal
from deploy.git.command import Git
from deploy.git.errors import GitFailed, Race, classify, diagnose, error_of
from deploy.git.objects import Object, Objects, changed, find, nearest
from deploy.git.signing import Draft, Signer
from deploy.git.writing import Author
from retrain.errors import Refused, Transient

_REF = "refs/retrain/base"
_NEW = "refs/retrain/new"
MAX_PACKS = 100
"""Packs of a cache before it is thrown away: it is cheaper to fetch one tree again than to repack."""

PARTIAL = ("-c", "remote.origin.promisor=true", "-c", "remote.origin.partialclonefilter=blob:none")
"""For commands that may meet objects that we never fetched. Not in the cache's own configuration: `cat-file` is to say
that a blob is missing, so that all of them are fetched at once."""
_NO_BLOBS = "--filter=blob:none"
_WHOLE = "whole"
"""A file in the cache of a server that must be asked for all files of a commit."""
FETCH = ("fetch", "-q", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")


class Repository:
    """One remote repository and its cache. Blocking; hold `locked()` around a fetch and what builds on it.

    `access` is what gets us in, `signer` what signs commits (None: they are not signed).
    """

    def __init__(
        self, git: Git, url: str, caches: Path, access: Access | None = None, signer: Signer | None = None
    ) -> None:
        self.url = url
        self._git = git
        self._caches = caches
        self._access = access or Access()
        self._signer = signer
        self._folder = caches / f"{sha256(url.encode()).hexdigest()[:24]}.git"
        self._branch = ""
        self._reused = False
        self._session = ExitStack()
        self._open_objects: Objects | None = None

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
            finally:
                self._close_objects()

    def probe(self) -> None:
        """Ask whether the remote is there.

        Raises:
            Transient, Permanent: it is not, in git's words.
        """
        self._ask(None, "ls-remote", "--heads", "--", self.url)

    def tips(self, *branches: str) -> dict[str, str]:
        """Where these branches of the remote are now, by name; those that do not exist are left out."""
        refs = [f"refs/heads/{branch}" for branch in branches]
        out = self._ask(None, "ls-remote", "--heads", "--", self.url, *refs)
        lines = [line.partition("\t") for line in out.decode(errors="replace").splitlines()]
        return {ref.removeprefix("refs/heads/"): sha for sha, _, ref in lines if ref in refs}

    def fetch(self, branch: str) -> str:
        """Get the branch's tip (its commit and trees); the commit's SHA.

        Raises:
            Refused: there is no such branch; the message names those that exist.
            Transient, Permanent: the remote is away, or says no.
        """
        self._open()
        self._branch = branch
        tail = ("--depth=1", "--", "origin", f"+refs/heads/{branch}:{_REF}")
        whole = (self._folder / _WHOLE).exists()
        code, _, err = self._network(*FETCH, *tail) if whole else self._network(*PARTIAL, *FETCH, _NO_BLOBS, *tail)
        if code and b"filter" in err:  # some servers refuse filters instead of ignoring them
            code, _, err = self._network(*FETCH, *tail)
        if code:
            raise self._no_fetch(branch, err.decode(errors="replace"))
        tip = self._objects.get(f"{_REF}^{{commit}}")
        if tip is None:
            raise GitFailed(f"{branch}: the cache lacks its commit")
        return tip.oid

    def _get_history(self, refspecs: Sequence[str], *, whole: bool = False) -> None:
        """Get all commits of these refs, without files unless `whole`."""
        code, err = 1, b"no filter"
        if not whole:
            code, _, err = self._network(*PARTIAL, *FETCH, _NO_BLOBS, "--", "origin", *refspecs)
        if code and b"filter" in err:
            code, _, err = self._network(*FETCH, "--", "origin", *refspecs)
        if code:
            raise classify(err.decode(errors="replace"))

    def _no_fetch(self, branch: str, text: str) -> Exception:
        if "couldn't find remote ref" in text:
            return Refused(f"{self.url} has no branch {branch!r}; {self._branches()}")
        row = diagnose(text)
        # Who reads loses no race, and `origin` has an address: it is our own cache that is locked or damaged.
        ours = str(self._folder) in text or "'origin' does not appear" in text
        failure = error_of(row, text)
        damaged = row.kind == "race" or (ours and row.kind in {"lock", "repository-missing", "unreachable"})
        return GitFailed(str(failure)) if damaged else failure

    def _open(self) -> None:
        packs = self._folder / "objects" / "pack"
        if packs.is_dir() and sum(1 for _ in packs.iterdir()) > MAX_PACKS * 3:
            self._throw_away()
        self._reused = (self._folder / "ready").exists()
        if self._reused:
            return
        self._throw_away()
        self._git.run(None, "init", "-q", "--bare", "--template=", "--", str(self._folder))
        self._git.run(self._folder, "config", "--", "remote.origin.url", self.url)
        (self._folder / "ready").touch()

    def _throw_away(self) -> None:
        """Begin without a cache. In one move: a git that outlived its platform may still write into the old one."""
        self._close_objects()
        if self._folder.exists():
            grave = tempfile.mkdtemp(prefix="gone-", dir=self._caches)
            self._folder.rename(Path(grave) / self._folder.name)
        for grave in self._caches.glob("gone-*"):
            shutil.rmtree(grave, ignore_errors=True)

    def _branches(self) -> str:
        lines = self._ask(None, "ls-remote", "--heads", "--", self.url).decode(errors="replace")
        names = [line.partition("refs/heads/")[2] for line in lines.splitlines()]
        return f"there are {', '.join(names[:20])}" if names else "it has none yet, make a first commit"

    @property
    def _objects(self) -> Objects:
        if self._open_objects is None:
            process = self._session.enter_context(self._git.open(self._folder, "cat-file", "--batch"))
            self._open_objects = Objects(process)
        return self._open_objects

    def _close_objects(self) -> None:
        self._open_objects = None
        self._session.close()

    def read(self, base: str, files: Sequence[str], optional: str | None = None) -> dict[str, bytes | None]:
        """The contents of files at a commit; None for `optional` where it is missing.

        Raises:
            Refused: another one is missing (the message names what is there), is no plain file, or is too big.
        """
        wanted = [*files, *([optional] if optional else [])]
        trees = self._objects.trees(base, wanted)
        found: dict[str, str] = {}
        for file in wanted:
            entry = find(trees, file)
            if entry is None and file != optional:
                raise Refused(f"{file}: is not there; {nearest(trees, file)}")
            if entry is not None:
                found[file] = entry.oid
        blobs = self._blobs(list(found.values()))
        return {file: _body(file, blobs[found[file]]) if file in found else None for file in wanted}

    def parent(self, commit: str) -> str | None:
        """The first parent of a commit; None where the commit is not in the cache, or has none."""
        one = self._objects.get(f"{commit}^{{commit}}")
        head = (one.body or b"").partition(b"\n\n")[0].decode(errors="replace") if one is not None else ""
        return next((line.split()[1] for line in head.splitlines() if line.startswith("parent ")), None)

    def _blobs(self, oids: Sequence[str]) -> dict[str, Object]:
        """Blobs by SHA. What is not in the cache is fetched, all of it at once."""
        found = {oid: self._objects.get(oid) for oid in oids}
        if lacking := [oid for oid, one in found.items() if one is None]:
            self._fetch_blobs(lacking)
            found |= {oid: self._objects.get(oid) for oid in lacking}
        blobs = {oid: one for oid, one in found.items() if one is not None and one.kind == "blob"}
        if len(blobs) < len(found):
            raise GitFailed("the server did not send a file that its own tree names")
        return blobs

    def _fetch_blobs(self, oids: Sequence[str]) -> None:
        tail = (_NO_BLOBS, "--", "origin", *oids)
        code, _, err = self._network(*PARTIAL, "-c", "fetch.negotiationAlgorithm=noop", *FETCH, *tail)
        if b"unadvertised object" in err or b"not our ref" in err:
            self._fetch_whole()
        elif code:
            raise classify(err.decode(errors="replace"))

    def _fetch_whole(self) -> None:
        """Get the commit with all of its files: by git's old protocol (ssh, often) a server sends no single ones."""
        asked = self._objects.get(f"{_REF}^{{commit}}")
        self._throw_away()
        self._open()
        (self._folder / _WHOLE).touch()
        if asked is None or self.fetch(self._branch) != asked.oid:
            raise Race(f"{self._branch} moved while it was fetched with all of its files")

    def commit(self, base: str, files: Mapping[str, bytes], message: str, author: Author) -> str:
        """Make a commit on top of `base` in which `files` have new contents; its SHA. Nothing leaves this machine.

        Deterministic: the same arguments give the same SHA (if it is signed: as far as the key's signatures are).

        Raises:
            Refused: a file, or something on its way, is a link, a submodule or a folder.
            GitFailed: the commit would touch more than `files`, or could not be signed.
        """
        trees = self._objects.trees(base, files)
        order = writing.stream(_NEW, base, trees, files, message, author)
        flags = ("--done", "--quiet", "--force", "--date-format=raw")
        out = self._git.run(self._folder, "-c", "fastimport.unpackLimit=1", "fast-import", *flags, stdin=order)
        commit = out.decode().strip()
        if extra := changed(trees, self._objects.trees(commit, files), list(files)):
            raise GitFailed(f"the commit would touch {', '.join(sorted(extra)[:5])} too; nothing was pushed")
        if self._signer is None:
            return commit
        return self._signer.commit(self._git, self._folder, Draft(f"{commit}^{{tree}}", base, message, author))

    def push(self, base: str, commit: str, branch: str, tag: tuple[str, bytes] | None = None) -> None:
        """Move the branch from `base` to `commit`, if it is still at `base`; with the new tag (name, object) or not.

        The lease matters even for a fast-forward: without it a branch that was rewound would get back what was removed.

        Raises:
            Race: the branch is somewhere else by now.
            Rejected, AuthFailed: the server's rules say no.
            Transient: it is not known whether the push arrived.
        """
        refs = {f"refs/heads/{branch}": (base, commit)}
        if tag is not None:
            oid = self._git.run(self._folder, "mktag", stdin=tag[1]).decode().strip()
            refs[f"refs/tags/{tag[0]}"] = ("", oid)
        self._push(refs)

    def publish(self, commit: str, branch: str, expected: str) -> None:
        """Set a branch of our own to `commit`, if it is at `expected` ("": if there is none), whatever it held.

        Raises:
            As `push`.
        """
        self._push({f"refs/heads/{branch}": (expected, commit)})

    def _push(self, refs: Mapping[str, tuple[str, str]]) -> None:
        # A lease allows what is no fast-forward, too. Never with a `+`: that pushes whatever the lease says.
        leases = [f"--force-with-lease={ref}:{expected}" for ref, (expected, _) in refs.items()]
        specs = [f"{new}:{ref}" for ref, (_, new) in refs.items()]
        atomic = ["--atomic"] if len(refs) > 1 else []
        code, out, err = self._network(
            *(*PARTIAL, "push", "--porcelain", "--no-verify", *atomic, *leases, "--", "origin", *specs)
        )
        lines = {ref: line_about(out.decode(errors="replace"), ref) for ref in refs}
        if code == 0 and all(line is not None and line[0] in " =*+" for line in lines.values()):
            return
        raise refusal(lines, err.decode(errors="replace"))

    def _network(self, *arguments: str) -> tuple[int, bytes, bytes]:
        with self._access.environment(self._git.home) as extra:
            return self._git.attempt(self._folder, *arguments, extra=extra, network=True)

    def _ask(self, folder: Path | None, *arguments: str) -> bytes:
        with self._access.environment(self._git.home) as extra:
            return self._git.run(folder, *arguments, extra=extra, network=True)


def _body(file: str, blob: Object) -> bytes:
    if blob.body is None:
        raise Refused(f"{file}: has {blob.size:,} bytes, more than a manifest may have")
    return blob.body
