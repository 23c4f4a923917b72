"""Git repositories as input: cloned, at a revision, with its `.git` so that `git status` works in the step.

Submodules come only with `disableSubmodules: false`: they are further addresses that somebody else wrote.

Source: argo-workflows workflow/artifacts/git, read and not copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipelines.artifacts.git_program import Access, GitProgram, open_git
from pipelines.artifacts.place import PAUSES_S, attempt, remove
from retrain.errors import ConfigError, Permanent

_REFSPEC = re.compile(r"\+?[A-Za-z0-9_][A-Za-z0-9_./*@{}^~-]*(:[A-Za-z0-9_./*-]+)?")
_NAME = re.compile(r"[^-\s\0:?*\[\\][^\s\0:?*\[\\]*")
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:\S+")
_SCHEMES = ("https://", "http://", "ssh://", "git://", "file://")


@dataclass(frozen=True, slots=True)
class Wish:
    """What of which repository.

    Raises:
        ConfigError: a field cannot be what it says; nothing that begins with `-` gets to git.
    """

    repo: str
    revision: str = ""
    branch: str = ""
    depth: int | None = None
    refspecs: tuple[str, ...] = ()
    single_branch: bool = False
    submodules: bool = False

    def __post_init__(self) -> None:
        if not (self.repo.startswith((*_SCHEMES, "/")) or _SCP_LIKE.fullmatch(self.repo)) or "\0" in self.repo:
            raise ConfigError(
                f"git.repo: {self.repo[:200]!r} is no address of a repository (https, ssh, git@host:path)"
            )
        for name, value in (("revision", self.revision), ("branch", self.branch)):
            if value and not _NAME.fullmatch(value):
                raise ConfigError(f"git.{name}: {value[:200]!r} is no name of a revision")
        for refspec in self.refspecs:
            if not _REFSPEC.fullmatch(refspec):
                raise ConfigError(f"git.fetch: {refspec[:200]!r} is no refspec")
        if self.depth is not None and self.depth < 1:
            raise ConfigError("git.depth: must be 1 or more")
        if self.single_branch and not self.branch:
            raise ConfigError("git.singleBranch: needs branch")

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Wish:
        """From Argo's `git`."""
        return cls(
            str(spec.get("repo") or ""), str(spec.get("revision") or ""), str(spec.get("branch") or ""),
            spec.get("depth"), tuple(str(one) for one in spec.get("fetch") or ()), bool(spec.get("singleBranch")),
            spec.get("disableSubmodules") is False,
        )  # fmt: skip


class GitPlace:
    """One repository."""

    def __init__(
        self, wish: Wish, access: Access, environ: Mapping[str, str], scratch: Path,
        pauses: tuple[float, ...] = PAUSES_S,
    ) -> None:  # fmt: skip
        self._wish = wish
        self._access = access
        self._environ = environ
        self._scratch = scratch
        self._pauses = pauses

    def fetch(self, to: Path, sub: str) -> bool:
        del sub

        def once() -> None:
            remove(to)
            with open_git(self._access, self._environ, self._scratch) as git:
                self._clone(git, to)

        attempt(once, "git", self._pauses)
        return False

    def _clone(self, git: GitProgram, to: Path) -> None:
        wish = self._wish
        options = ["-q", "--template=", "--no-recurse-submodules", "--no-hardlinks", *self._depth()]
        if wish.branch:
            options += ["--branch", wish.branch]
        options.append("--single-branch" if wish.single_branch else "--no-single-branch")
        git.run(None, "clone", *options, "--", wish.repo, str(to.absolute()))
        if wish.refspecs:
            git.run(to, "fetch", "-q", *self._depth(), "--", "origin", *wish.refspecs)
        if wish.revision:
            self._check_out(git, to)
        if wish.submodules:
            git.run(to, "submodule", "update", "-q", "--init", "--recursive", "--force", *self._depth())

    def _check_out(self, git: GitProgram, to: Path) -> None:
        revision = self._wish.revision
        try:
            git.run(to, "checkout", "-q", "--force", revision, "--", network=False)
        except Permanent:
            # A commit that a shallow clone left out, or one that no branch has.
            git.run(to, "fetch", "-q", *self._depth(), "--", "origin", revision)
            git.run(to, "checkout", "-q", "--force", "FETCH_HEAD", "--", network=False)

    def _depth(self) -> list[str]:
        return [] if self._wish.depth is None else [f"--depth={self._wish.depth}"]

    def put(self, found: Path) -> None:
        del found
        raise ConfigError("git: a repository is no place for outputs, as upstream")

    def open(self) -> BinaryIO:
        raise ConfigError("git: a repository is no single file")

    def keys(self) -> Iterator[str]:
        raise ConfigError("git: a repository has no list of keys; artifactPaths take s3 or gcs")

    def delete(self) -> None:
        raise ConfigError("git: nothing is deleted in a repository")
