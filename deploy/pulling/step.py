"""What follows for a promotion from its pull request, its gates and the last word before a push. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from deploy.barrier import Answer
from deploy.clearance import Clearance
from deploy.derive import Derived, Intent
from deploy.forges import Action, Mine, PullRequestSpec, Wish
from deploy.forges.port import PullRequest
from deploy.outcomes import Ending
from deploy.pulling.kept import Kept
from retrain.store.promotions import PromotionRow

Verb = Literal["open", "adopt", "push", "merge", "wait", "missed", "over", "unjudged", "again", "lost"]
GITHUB = "noreply@github.com"
"""The committer of what GitHub commits by its API."""


@dataclass(frozen=True, slots=True)
class Step:
    """What to do. `lease`: as in `Action`. `cleared`: what it waits for beside the forge. `ending`: `over` with what.

    `missed`: forge and git say different things of its merge; `ending`, if that stays so. `again`: what was looked at
    has changed meanwhile. `lost`: not ours.
    """

    verb: Verb
    reason: str = ""
    action: Action | None = None
    lease: str | None = None
    cleared: Clearance | None = None
    ending: Ending | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a promotion knows of its own: the pull request, and the closed ones that do not count any more."""

    kept: Kept | None
    commit: str | None
    overruled: frozenset[int] = frozenset()


def known_of(row: PromotionRow, others: Iterable[PromotionRow]) -> Known:
    """`others`: all promotions of the same intent. Closed by us is no answer; a person's no is one until retried."""
    said = (one for one in others if one.id != row.id and (one.state != "rejected" or row.retry_of is not None))
    numbers = (kept.number for kept in (Kept.read(one.pull) for one in said) if kept is not None)
    return Known(Kept.read(row.pull), row.commit_sha, frozenset(numbers))


def mine_of(spec: PullRequestSpec, email: str, intent: Intent, known: Known, more: Collection[str] = ()) -> Mine:
    """Which commits on the branch are ours. `more`: commits that it may be at after a crash."""
    kept = known.kept
    pushed = {known.commit or "", kept.head if kept else "", *more} - {""}
    people = {email, *((GITHUB,) if spec.commits == "api" else ())}
    return Mine(intent.key, frozenset(pushed), frozenset(people))


def wish_of(
    spec: PullRequestSpec, intent: Intent, mine: Mine, known: Known, derived: Derived, said: Answer | None
) -> Wish:
    """What is wanted of the forge. Who goes back waits for nobody's approval."""
    back = intent.action == "rollback"
    return Wish(
        mine=mine,
        change=derived.outcome != "noop",
        on_base=derived.outcome == "landed",
        number=known.kept.number if known.kept else None,
        auto_merge=spec.autoMerge,
        approved=said == "go",
        approvals=0 if back else spec.approvals,
        approvers=spec.approvers,
        overruled=known.overruled,
    )


def next_step(action: Action, pull: PullRequest | None, derived: Derived, said: Answer | None) -> Step:
    """What the forge's answer is comes first, then what people and gates say here, then what is to be done there."""
    if action.name in {"done", "rejected"}:
        return Step("over", action.reason, action, ending=_answered(action, pull, derived))
    if isinstance(said, Ending):
        return Step("over", said.reason, action, ending=said)
    if said in {"again", "lost"}:
        return Step("again" if said == "again" else "lost", "approvals have changed meanwhile", action)
    if action.name == "taken-over" and action.merge_sha is not None:
        return Step("missed", action.reason, action, ending=Ending("refused", action.reason))
    if derived.outcome == "landed":
        return Step("missed", action.reason, action, ending=Ending("committed", action.reason, derived=derived))
    if derived.outcome in {"refused", "unjudged"}:
        ending = Ending("refused", derived.reason, derived=derived)
        return Step("over" if derived.outcome == "refused" else "unjudged", derived.reason, action, ending=ending)
    if action.name == "noop":
        return Step("over", action.reason, action, ending=Ending("noop", action.reason, derived=derived))
    return _at_forge(action, said)


def _at_forge(action: Action, said: Answer | None) -> Step:
    cleared = said if isinstance(said, Clearance) else None
    reason = cleared.reason if cleared else action.reason
    if action.name == "taken-over":
        return Step("wait", action.reason, action, cleared=cleared)
    if action.name == "adopt":
        return Step("adopt", reason, action, cleared=cleared)
    # What is not cleared is not pushed, not even to a branch of its own.
    if said != "go" or action.name in {"wait", "verify"}:
        return Step("wait", reason, action, cleared=cleared)
    if action.name == "merge":
        return Step("merge", reason, action)
    return Step("open" if action.name == "open" else "push", reason, action, lease=action.lease)


def _answered(action: Action, pull: PullRequest | None, derived: Derived) -> Ending:
    """The end that a merge, or a no, on the forge is."""
    number = f"pull request #{action.number}" if action.number else "it"
    if action.name == "rejected":
        why = "was closed without a merge" if pull and pull.state == "closed" else "lost its branch"
        return Ending("rejected", f"{number} {why}{_by(pull.closed_by if pull else None)}")
    merged = pull if pull is not None and pull.state == "merged" else None
    reason = f"{number} was merged{_by(merged.merged_by)}" if merged else action.reason
    return Ending("committed", reason, commit=action.merge_sha, derived=derived)


def _by(who: str | None) -> str:
    return f" by {who}" if who else ""
