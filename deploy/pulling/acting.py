"""What is asked of the forge in a look: what is there, the pull request, what it says, the merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256

import structlog

from deploy.forges import Decoration, Forge, Merge, Opening, PullRequest, PullRequestSpec, Rejected, Status
from deploy.forges.github import GitHub
from deploy.pulling.ground import Sight
from deploy.pulling.telling import Text
from retrain import faults
from retrain.errors import NotFound

log = structlog.get_logger()


async def see(forge: Forge, branch: str, base: str) -> Sight:
    """Our branch and its pull request, as the forge shows them now."""
    pull = await forge.find(branch, base)
    if pull is not None:
        pull = await forge.state(pull.number)
    return Sight(branch, await forge.head(branch), pull)


def digest(sight: Sight, base: str, stamp: str) -> str:
    """Another one, if a look could come to something else. `base`: its tip; `stamp`: of what decides here."""
    pull = sight.pull
    shown = pull and (pull.number, pull.state, pull.head_sha, pull.mergeable, pull.why, pull.merge_sha)
    people = pull and (pull.approvals, pull.refusals)
    facts = (base, stamp, sight.head and sight.head.sha, shown, people)
    return sha256(repr(facts).encode()).hexdigest()[:16]


async def open_pull(forge: Forge, branch: str, base: str, text: Text) -> PullRequest:
    """Open one.

    Raises:
        Race: there is one already, or the forge has not seen the branch yet.
    """
    made = await forge.open(Opening(branch, base, text.title, text.body))
    faults.point("promotion.after_open")
    return made


async def decorate(forge: Forge, number: int, spec: PullRequestSpec) -> tuple[str, ...]:
    """Labels and reviewers; what did not work, in words."""
    if not (spec.labels or spec.reviewers):
        return ()
    try:
        return await forge.decorate(number, Decoration(spec.labels, spec.reviewers))
    except (Rejected, NotFound) as error:
        return (str(error),)


async def show(forge: Forge, statuses: Sequence[Status]) -> tuple[str, ...]:
    """The statuses beside a commit; what did not work, in words: whoever may not show them may still propose."""
    for status in statuses:
        try:
            await forge.set_status(status)
        except (Rejected, NotFound) as error:
            return (f"statuses: {error}",)
    return ()


async def merge(forge: Forge, spec: PullRequestSpec, number: int, head: str, text: Text) -> None:
    """Merge what was judged.

    Raises:
        Race: the base or the branch moved; look again.
        NotMergeable: the forge does not let it be merged.
    """
    faults.point("promotion.before_merge")
    await forge.merge(Merge(number, head, spec.method, text.message, spec.deleteBranch))
    faults.point("promotion.after_merge")


async def close(forge: Forge, number: int, why: str) -> None:
    """Say why, then close it: after a crash between the two it is said twice, and never not at all."""
    await forge.comment(number, why)
    await forge.close(number)


async def commit_there(
    forge: Forge, branch: str, lease: str, base: str, files: Mapping[str, bytes], message: str
) -> str:
    """Let GitHub make and sign the commit, on a branch that is set to the base first; its SHA.

    Raises:
        Race: the branch is not at `lease` ("": it is there).
    """
    assert isinstance(forge, GitHub)  # the spec lets no other kind ask for it
    faults.point("promotion.before_publish")
    if lease != base:
        await forge.move(branch, lease or None, base)
    sha = await forge.commit(branch, base, files, message)
    faults.point("promotion.after_publish")
    return sha
