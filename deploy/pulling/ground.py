"""Git's part of a look: what the promotion comes to on the base's tip, what our branch holds, the push to it. Blocking.

One lock from the fetch to the push, and the base is fetched before the branch is: what is committed is on top of what
was judged.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from deploy import attempt, barrier
from deploy import record as records
from deploy.applying import drifted
from deploy.attempt import Place
from deploy.derive import Derived, Intent
from deploy.forges import Branch, Head, Mine
from deploy.forges.port import PullRequest
from deploy.forges.pulls import Landed, seen
from deploy.git import Race, Repository
from deploy.pulling.step import Step
from deploy.record import Record
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.errors import Refused

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Sight:
    """What the forge says: our branch's newest commit, and the pull request from it."""

    branch: str
    head: Head | None
    pull: PullRequest | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What git says. `behind`: the records of the environments before. `parent`: of a merge, where it is known."""

    base: str
    derived: Derived
    behind: Sequence[tuple[str, Record | None]]
    branch: Branch | None
    landed: Landed
    parent: str | None


@dataclass(frozen=True, slots=True)
class Asker:
    """What decides between looking and pushing. `may_push(ground, commit)` writes the push down; False calls it off."""

    judge: Callable[[Ground], Step]
    may_push: Callable[[Ground, str], bool]


def tip(place: Place, document: PromotionDocument) -> str:
    """Where the base is, without fetching it; "" if there is no such branch.

    Raises:
        Transient, Permanent: the repository is away, or says no.
    """
    branch = document.spec.repo.branch
    return place.repository(document).tips(branch).get(branch, "")


def look(
    place: Place, document: PromotionDocument, intent: Intent, sight: Sight, mine: Mine, asker: Asker
) -> tuple[Ground, Step, str | None]:
    """Look and judge, and push where the step has a lease; the commit that was pushed, or None.

    Raises:
        Race: somebody moved a branch; look again.
        Refused, ConfigError: it cannot be derived on the base.
        Transient, Permanent: the repository is away, or says no.
    """
    repository = place.repository(document)
    with repository.locked():
        ground = _ground(place, repository, document, intent, sight, mine)
        step = asker.judge(ground)
        spec = document.spec.pullRequest
        assert spec is not None
        if step.lease is None or spec.commits == "api":
            return ground, step, None
        whole = attempt.with_provenance(place, document, ground.derived)
        sha = repository.commit(ground.base, whole.files, whole.message, attempt.author_of(document, intent))
        if not asker.may_push(ground, sha):
            return ground, Step("lost"), None
        faults.point("promotion.before_publish")
        repository.publish(sha, sight.branch, step.lease)
        faults.point("promotion.after_publish")
        return ground, step, sha


def _ground(
    place: Place, repository: Repository, document: PromotionDocument, intent: Intent, sight: Sight, mine: Mine
) -> Ground:
    base, derived = attempt.derived_on(repository, document, intent)
    behind = barrier.look_behind(place, document, document.spec.environment, base) if intent.candidate else []
    merged = sight.pull.merge_sha if sight.pull is not None else None
    parent = repository.parent(merged) if merged and _SHA.fullmatch(merged) else None
    landed = _landed(repository, document, intent, base)
    # Last: it takes the place of the base in the cache.
    branch = _branch(repository, sight, base, derived, mine)
    return Ground(base, derived, behind, branch, landed, parent)


def _landed(repository: Repository, document: PromotionDocument, intent: Intent, base: str) -> Landed:
    """Whether the base names this promotion on record, and says what the record says."""
    file = document.record_file
    record = records.read(repository.read(base, (), optional=file)[file], file)
    if record is None or not record.mentions(intent.id):
        return "no"
    if record.promotion.get("id") != intent.id:
        return "yes"  # a later one has been there since
    return "no" if drifted(record.edits, _contents(repository, base, [e.file for e in record.edits])) else "yes"


def _branch(repository: Repository, sight: Sight, base: str, derived: Derived, mine: Mine) -> Branch | None:
    head = sight.head
    if head is None:
        return None
    if not mine.made(head):
        return Branch(head, current=False, behind=False)  # what it holds is its owner's
    try:
        found = repository.fetch(sight.branch)
    except Refused as error:
        raise Race(f"{sight.branch} has gone meanwhile") from error
    if found != head.sha:
        raise Race(f"{sight.branch} is at {found[:12]}, and the forge says {head.sha[:12]}")
    return seen(head, base, _contents(repository, found, [*derived.files]), derived.files)


def _contents(repository: Repository, commit: str, files: Sequence[str]) -> Mapping[str, bytes | None]:
    """The contents of files at a commit; None where there is none, or something else than a file."""
    return {file: _content(repository, commit, file) for file in dict.fromkeys(files)}


def _content(repository: Repository, commit: str, file: str) -> bytes | None:
    try:
        return repository.read(commit, (), optional=file)[file]
    except Refused:
        return None
