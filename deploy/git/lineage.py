"""Which commits of a branch descend from another: its history without files, as much of it as is needed."""

from __future__ import annotations

import re
from pathlib import Path

from deploy.git.access import Access
from deploy.git.command import Git
from deploy.git.errors import GitFailed
from deploy.git.repository import FETCH, PARTIAL, Repository

_REF = "refs/retrain/tip"
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_NO_TREES = "--filter=tree:0"
DEPTHS = (50, 500, 5000, 0x7FFFFFFF)
"""How many generations are fetched; more only where those before leave it open."""


class Lineage(Repository):
    """The commits of one branch. A cache of its own: that of `Repository` needs the trees which are left out here."""

    def __init__(self, git: Git, url: str, caches: Path, access: Access | None = None) -> None:
        super().__init__(git, url, caches, access)
        self._folder = self._folder.with_name(f"{self._folder.stem}-lineage.git")

    def contains(self, branch: str, commit: str, descendant: str) -> bool:
        """Whether `descendant` is that commit or is on top of it, and in the branch's history on the server.

        False for what is no full SHA, and for commits that the branch does not have.

        Raises:
            Refused: there is no such branch.
            Transient, Permanent: the remote is away, or says no.
        """
        if not _SHA.fullmatch(commit) or not _SHA.fullmatch(descendant):
            return False
        with self.locked():
            self._open()
            for depth in DEPTHS:
                self._deepen(branch, depth)
                if (found := self._tell(commit, descendant)) is not None:
                    return found
        return False

    def _deepen(self, branch: str, depth: int) -> None:
        tail = (f"--depth={depth}", "--", "origin", f"+refs/heads/{branch}:{_REF}")
        code, _, err = self._network(*PARTIAL, *FETCH, _NO_TREES, *tail)
        if code and b"filter" in err:  # some servers refuse filters instead of ignoring them
            code, _, err = self._network(*FETCH, *tail)
        if code:
            raise self._no_fetch(branch, err.decode(errors="replace"))

    def _tell(self, commit: str, descendant: str) -> bool | None:
        """Whether it descends, by the commits that are here; None if they leave it open."""
        cut = self._cut()
        if not self._reaches(_REF, commit):
            return None if cut else False
        beside = set(self._listed(_REF, f"^{commit}"))
        # All that descends from the commit is among these, unless one of them has parents that are not here.
        if cut & beside:
            return None
        return descendant == commit or (descendant in beside and self._reaches(descendant, commit))

    def _cut(self) -> set[str]:
        """The commits whose parents were not fetched."""
        file = self._folder / "shallow"
        return set(file.read_text().split()) if file.exists() else set()

    def _reaches(self, tip: str, commit: str) -> bool:
        code, _, err = self._git.attempt(self._folder, "merge-base", "--is-ancestor", commit, tip)
        if code == 1:
            return False
        if code and (b"Not a valid" in err or b"not a valid" in err or b"Could not parse" in err):
            return False
        if code:
            raise GitFailed(err.decode(errors="replace").strip()[:300] or f"git merge-base ended with {code}")
        return True

    def _listed(self, *revisions: str) -> list[str]:
        return self._git.run(self._folder, "rev-list", *revisions, "--").decode().split()
