"""What a promotion needs of a forge (the server that keeps pull requests), and the values that cross the seam.

A pull request here is GitHub's, Gitea's and Bitbucket's pull request and GitLab's merge request (its `iid`). Only those
count whose branch lies in the repository itself: a fork's branch of the same name is somebody else's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

State = Literal["open", "merged", "closed"]
Mergeable = Literal["yes", "no", "unknown"]
Method = Literal["merge", "squash", "rebase"]
StatusState = Literal["pending", "success", "failure", "error"]


@dataclass(frozen=True, slots=True)
class Review:
    """A person's yes or no. `head_sha` is the commit that it was given to; None where the forge does not tell."""

    who: str
    at: datetime | None
    head_sha: str | None


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request as the forge shows it now.

    `mergeable` and the reviews are known from `Forge.state` alone. `why` says in words why it cannot be merged.
    `needs_base`: the forge wants the branch built again on its base (a conflict, or a rule that it be up to date).
    `merge_sha` is the commit on the base branch, once it is merged. An author's review of his own is left out.
    `closed_by`: who closed it without a merge, where the forge tells; from `Forge.state` alone.
    """

    number: int
    url: str
    state: State
    head: str
    base: str
    head_sha: str
    author: str = ""
    title: str = ""
    body: str = ""
    merge_sha: str | None = None
    merged_by: str | None = None
    closed_by: str | None = None
    mergeable: Mergeable = "unknown"
    why: str = ""
    needs_base: bool = False
    approvals: tuple[Review, ...] = ()
    refusals: tuple[Review, ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """A branch's newest commit. E-mail addresses are "" where the forge does not tell them."""

    sha: str
    message: str
    author: str = ""
    committer: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """A pull request that is to be opened: from the branch `head` into `base`."""

    head: str
    base: str
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge that is to be made, if the branch is still at `head_sha`. The first line of `message` is its title."""

    number: int
    head_sha: str
    method: Method
    message: str
    delete_branch: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """What is shown beside a commit. `context` names the check: a later status of the same name takes its place."""

    sha: str
    state: StatusState
    context: str
    description: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Decoration:
    """What helps people to find a pull request, and changes nothing in it."""

    labels: Sequence[str] = ()
    reviewers: Sequence[str] = field(default_factory=tuple)


class Forge(Protocol):
    """One repository on one forge.

    Every method raises, besides what it says itself: `Transient` (away, busy; `RateLimited` says for how long),
    `AuthFailed` (the token is not known, or may not), `NotFound`, and `Declined` with the forge's own words.
    """

    async def aclose(self) -> None:
        """End the connections."""
        ...

    async def find(self, head: str, base: str) -> PullRequest | None:
        """The pull request from one branch into another: the open one, else the newest; None if there never was one."""
        ...

    async def head(self, branch: str) -> Head | None:
        """A branch's newest commit; None if there is no such branch."""
        ...

    async def open(self, opening: Opening) -> PullRequest:
        """Open one.

        Raises:
            Race: there is one already, or the branch is not seen yet; look again.
        """
        ...

    async def update(self, number: int, title: str, body: str) -> None:
        """Write its title and text anew."""
        ...

    async def state(self, number: int) -> PullRequest:
        """All that is known of it now."""
        ...

    async def merge(self, merge: Merge) -> str:
        """Merge it; the commit on the base branch.

        Raises:
            Race: the base or the branch moved; look again.
            NotMergeable: the forge does not let it be merged, in its own words. Nothing was merged.
        """
        ...

    async def comment(self, number: int, text: str) -> None:
        """Add a comment (Markdown)."""
        ...

    async def close(self, number: int) -> None:
        """Close it without merging."""
        ...

    async def decorate(self, number: int, decoration: Decoration) -> tuple[str, ...]:
        """Add labels and ask reviewers; what did not work, in words. Only `Transient` and `AuthFailed` are raised."""
        ...

    async def set_status(self, status: Status) -> None:
        """Show a status beside a commit."""
        ...


def newest(found: Sequence[PullRequest]) -> PullRequest | None:
    """The open one; else the one that was opened last."""
    return max(found, key=lambda one: (one.state == "open", one.number), default=None)
