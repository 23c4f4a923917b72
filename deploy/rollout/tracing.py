"""Asking Git: does a revision that an agent names follow the promotion's commit, and what has a rollback restored."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Literal

import anyio
import anyio.to_thread
import structlog

from deploy import attempt
from deploy.attempt import Place
from deploy.record import Live
from deploy.rollout.tools import Answer, Cluster, Outside, Request, SecretKey
from deploy.spec import PromotionDocument
from retrain.errors import RetrainError

log = structlog.get_logger()

AGAIN_S = 15.0
"""How long a no holds: the branch may get what it lacks."""
Restored = Live | Literal["nobody"]
MOST = 4096
"""Answers that are remembered."""


class Tracing:
    """Remembers what Git said. A yes holds for good, as long as this process lives."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: dict[tuple[str, str, str, str], tuple[bool, float]] = {}
        self._restored: dict[str, Restored] = {}
        self._limiter = anyio.CapacityLimiter(4)

    async def restored(self, target: PromotionDocument, commit: str) -> Restored | None:
        """What is live by the record that the branch has since that commit; None while that cannot be told."""
        if commit not in self._restored:
            work = partial(attempt.current, self._place, target)
            try:
                record = await anyio.to_thread.run_sync(work, limiter=self._limiter, abandon_on_cancel=True)
            except RetrainError as error:
                log.warning("verification.no_record", promotion=target.name, error=str(error))
                return None
            self._restored = {
                commit: (record.live if record else None) or "nobody",
                **dict(list(self._restored.items())[:MOST]),
            }
        return self._restored[commit]

    def tools(self, document: PromotionDocument, commit: str, outside: Outside) -> Traced:
        """What the checks of one commit ask with."""
        return Traced(self, document, commit, outside)

    async def follows(self, document: PromotionDocument, commit: str, revision: str) -> bool:
        """Whether the revision is the commit or on top of it, in the promotion's branch.

        Raises:
            Transient, Permanent: the repository is away, or says no.
        """
        if revision == commit:
            return True
        repo = document.spec.repo
        key = (repo.url, repo.branch, commit, revision)
        known = self._known.get(key)
        if known is not None and (known[0] or monotonic() - known[1] < AGAIN_S):
            return known[0]
        lineage = self._place.lineage(document)
        said = await anyio.to_thread.run_sync(
            lineage.contains, repo.branch, commit, revision, limiter=self._limiter, abandon_on_cancel=True
        )
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[key] = (said, monotonic())
        return said


@dataclass(frozen=True, slots=True)
class Traced:
    """`tools.Tools` of one commit: what is outside, and Git."""

    tracing: Tracing
    document: PromotionDocument
    commit: str
    outside: Outside

    async def follows(self, revision: str) -> bool:
        """Whether that revision follows the commit."""
        return await self.tracing.follows(self.document, self.commit, revision)

    async def cluster(self, kubeconfig: SecretKey | None) -> Cluster:
        """As `Outside`."""
        return await self.outside.cluster(kubeconfig)

    async def http(self, request: Request) -> Answer:
        """As `Outside`."""
        return await self.outside.http(request)

    async def secret(self, ref: SecretKey) -> str:
        """As `Outside`."""
        return await self.outside.secret(ref)

    async def read(self, file: str, most: int) -> bytes:
        """As `Outside`."""
        return await self.outside.read(file, most)
