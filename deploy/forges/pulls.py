"""What to do next about a promotion's pull request, from what Git and the forge say. Pure.

Called afresh after every step and after every crash: nothing but the wish and what is seen decides. The rules:

- The branch is named by what is wanted (`branch_of`), so the same wish finds its own branch and pull request again.
- A branch on which somebody else has committed is never touched.
- A pull request that was closed without a merge is a no, and is not opened again.
- A merge is no success yet: somebody may have edited the pull request. What was merged is looked at.
- An approval counts for the commit that it was given to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from deploy.forges.port import Head, PullRequest, Review

ActionName = Literal[
    "noop", "open", "adopt", "update", "rebuild", "merge", "verify", "wait", "taken-over", "rejected", "done"
]
Landed = Literal["yes", "no", "unknown"]

FINAL: frozenset[ActionName] = frozenset({"noop", "rejected", "done"})
"""After these nothing more follows. `taken-over` is looked at again: the human may merge."""

_INTENT = re.compile(r"^Retrain-Intent: ([0-9a-f]{64})$", re.MULTILINE)
_UNSAFE = re.compile(r"[^a-z0-9.-]+|\.{2,}|\.lock$")


def branch_of(target: str, intent_key: str) -> str:
    """The branch of a wish: `promote/<target>/<12 digits>`. `target` is `environment/name`, or either alone."""
    parts = [_UNSAFE.sub("-", part.lower()).strip("-.") or "x" for part in target.split("/") if part]
    return f"promote/{'/'.join(parts)}/{intent_key[:12]}"


@dataclass(frozen=True, slots=True)
class Mine:
    """What is known of our own commits: those that were written down before they were pushed, and who we commit as.

    `identities`: e-mail addresses of our committers. For a commit that a crash kept from being written down.
    """

    intent_key: str
    pushed: frozenset[str] = frozenset()
    identities: frozenset[str] = frozenset()

    def made(self, head: Head) -> bool:
        """Whether this commit is ours. A human who amends it keeps our trailers, but not our committer."""
        if head.sha in self.pushed:
            return True
        # The last of several: the trailers end the message.
        keys = _INTENT.findall(head.message)
        ours = bool(keys) and keys[-1] == self.intent_key
        known = head.committer in self.identities if head.committer else head.author in self.identities
        return ours and known and len(head.parents) <= 1


@dataclass(frozen=True, slots=True)
class Branch:
    """Our branch as it is on the server. `current`: its files say what would be written on the base's tip now.

    `behind`: the base has moved since.
    """

    head: Head
    current: bool
    behind: bool


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted, and how far it may go by itself.

    `change`: whether there is anything to change on the base's tip. `on_base`: the record there names this promotion,
    so it has landed, however. `number`: the pull request that is written down for this promotion; None before the
    first. `approved`: the platform's own approvals suffice, for this very change. `approvals`: how many of `approvers`
    have to say yes on the forge. `overruled`: closed ones that somebody has expressly set aside.
    """

    mine: Mine
    change: bool = True
    on_base: bool = False
    number: int | None = None
    auto_merge: bool = False
    approved: bool = True
    approvals: int = 0
    approvers: Sequence[str] = ()
    overruled: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Action:
    """What to do, and why.

    `lease`: where the branch has to be before it is pushed; "" where it must not be there; None: push nothing.
    `head_sha`: the commit that is merged. `merge_sha`: what it became on the base.
    """

    name: ActionName
    reason: str
    number: int | None = None
    lease: str | None = None
    head_sha: str | None = None
    merge_sha: str | None = None


def seen(head: Head, base: str, there: Mapping[str, bytes | None], wanted: Mapping[str, bytes]) -> Branch:
    """Our branch beside what would be written on the base's tip. `there`: the branch's own contents of those files."""
    current = all(there.get(file) == content for file, content in wanted.items())
    return Branch(head, current, behind=base not in head.parents)


def decide(wish: Wish, branch: Branch | None, pull: PullRequest | None, landed: Landed = "unknown") -> Action:
    """The next step. `pull` is what `Forge.find` gave, with `Forge.state`'s knowledge if it is open.

    `landed`: whether a merged one's commit on the base holds our change (the record names this promotion, and the
    edited fields have their values).
    """
    if pull is not None and pull.state == "merged":
        if landed == "yes":
            return Action("done", f"#{pull.number} is merged", pull.number, merge_sha=pull.merge_sha)
        if landed == "unknown":
            return Action(
                "verify", f"#{pull.number} is merged: see what it holds", pull.number, merge_sha=pull.merge_sha
            )
        if pull.number == wish.number:
            why = f"#{pull.number} was merged without our change: somebody edited it, or undid it since"
            return Action("taken-over", why, pull.number, merge_sha=pull.merge_sha)
        pull = None  # of an earlier promotion of the same model, which was taken back since
    if wish.on_base:
        return _landed(pull)
    if pull is not None and pull.state == "closed":
        if pull.number not in wish.overruled:
            return Action("rejected", f"#{pull.number} was closed without a merge: the answer is no", pull.number)
        pull = None
    if branch is not None and not wish.mine.made(branch.head):
        why = f"{branch.head.sha[:12]} on the branch is not ours: it is left as it is"
        return Action("taken-over", why, pull.number if pull else None)
    if not wish.change:
        return Action("noop", "the manifests say so already", pull.number if pull else None)
    return _begin(branch) if pull is None else _go_on(wish, branch, pull)


def _landed(pull: PullRequest | None) -> Action:
    """The base holds it, and the forge does not call it merged: it lags, or somebody pushed the commit by hand."""
    if pull is not None and pull.state == "open":
        return Action("wait", f"the base holds it already; #{pull.number} does not say so yet", pull.number)
    return Action("done", "the base holds it already", pull.number if pull else None)


def _begin(branch: Branch | None) -> Action:
    if branch is None:
        return Action("open", "there is no branch and no pull request yet", lease="")
    if branch.current:
        return Action("open", "the branch is there, its pull request is not")
    return Action("open", "the branch is of an earlier try", lease=branch.head.sha)


def _go_on(wish: Wish, branch: Branch | None, pull: PullRequest) -> Action:
    """The pull request is open."""
    if branch is None:
        return Action("rejected", f"the branch of #{pull.number} was deleted: the answer is no", pull.number)
    if pull.head_sha != branch.head.sha:
        return Action("wait", f"the forge does not show {branch.head.sha[:12]} in #{pull.number} yet", pull.number)
    if pull.number != wish.number:
        return Action("adopt", f"#{pull.number} is open for this branch", pull.number)
    if not branch.current:
        why = "what would be written has changed since"
        return Action("update", why, pull.number, lease=branch.head.sha)
    if pull.needs_base and branch.behind:
        return Action("rebuild", pull.why, pull.number, lease=branch.head.sha)
    if why := _held(wish, pull):
        return Action("wait", why, pull.number)
    return Action("merge", "all that is asked for is there", pull.number, head_sha=branch.head.sha)


def _held(wish: Wish, pull: PullRequest) -> str:
    """Why an open pull request is not merged now; "" if it is."""
    approvers = {one.casefold() for one in wish.approvers}
    refusals = [one.who for one in pull.refusals if not approvers or one.who.casefold() in approvers]
    if refusals:
        return f"{', '.join(sorted(refusals))} asked for changes"
    if not wish.approved:
        return "approvals of the promotion are missing"
    given = counted(pull.approvals, approvers, pull.head_sha)
    if len(given) < wish.approvals:
        return f"{len(given)} of {wish.approvals} approvals on the forge"
    if not wish.auto_merge:
        return "a person merges it"
    return "" if pull.mergeable == "yes" else pull.why or "the forge does not say yet whether it can be merged"


def counted(approvals: Sequence[Review], approvers: set[str], head_sha: str) -> set[str]:
    """Who of the approvers said yes to this very commit. An approval of an unknown commit does not count."""
    return {
        one.who.casefold() for one in approvals if one.who.casefold() in approvers and one.head_sha == head_sha != ""
    }
