"""What one look at a pull request holds, and what becomes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from deploy.barrier import Pushing
from deploy.derive import Intent
from deploy.forges import Forge, Mine, PullRequest, PullRequestSpec
from deploy.outcomes import Ending
from deploy.pulling.ground import Ground, Sight
from deploy.pulling.kept import Kept, Memory
from deploy.pulling.step import Known
from deploy.spec import PromotionDocument
from retrain.store.promotions import PromotionRow


@dataclass(frozen=True, slots=True)
class Unjudged:
    """A gate could not say yet. `ending`: what it comes to if that stays so."""

    ending: Ending


Outcome = Ending | Unjudged | Literal["parked", "lost"]
"""`parked`: it waits, and is due again by itself. `lost`: it is not ours any more."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be looked at. `asked` gives the wish with what its gates ask others, which may take long."""

    row: PromotionRow
    document: PromotionDocument
    wish: Intent
    asked: Callable[[Intent], Awaitable[Intent]]

    @property
    def target(self) -> PromotionDocument:
        """The document to this one environment."""
        return self.document.at(self.row.environment)

    @property
    def spec(self) -> PullRequestSpec:
        """What it says of pull requests."""
        spec = self.target.spec.pullRequest
        assert spec is not None
        return spec


@dataclass(frozen=True, slots=True)
class Look:
    """One look. `row`: as it is now; `known`: of its pull request; `digest`: of all that was seen."""

    forge: Forge
    owner: str
    target: PromotionDocument
    document: PromotionDocument
    spec: PullRequestSpec
    row: PromotionRow
    wish: Intent
    known: Known
    mine: Mine
    sight: Sight
    digest: str

    @property
    def asked(self) -> datetime:
        """When its gates were asked."""
        return self.wish.given.at or self.row.created

    def pushing(self, seen: Ground, commit: str) -> Pushing:
        """As the barrier wants it."""
        return Pushing(self.owner, self.row, self.document, seen.derived, seen.base, commit, self.asked, seen.behind)

    def kept(self, pull: PullRequest, pushed: str | None, seen: Ground) -> Kept:
        """The pull request as it is kept now. `pushed`: our new commit on its branch."""
        old, head = self.known.kept, self.sight.head
        if old is not None and old.number == pull.number and pushed is None:
            return old.shown(pull)
        ours = pushed or (head.sha if head is not None and self.mine.made(head) else "")
        memory = old.memory if old is not None and old.number == pull.number else Memory()
        base = seen.base if pushed else (old.base if old is not None else self.row.base_sha or seen.base)
        return Kept(pull.number, pull.url, self.sight.branch, ours, base, memory=memory).shown(pull)
