"""Closes the pull requests of promotions that are over here: superseded, rejected by a person, refused by a gate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from deploy.attempt import Place
from deploy.forges import Forge, Mine, open_forge
from deploy.pulling import acting, saving, telling
from deploy.pulling.ground import Sight
from deploy.pulling.kept import Kept
from deploy.pulling.step import GITHUB
from deploy.spec import PromotionDocument, Spec
from retrain.clock import Clock
from retrain.errors import ConfigError, RetrainError
from retrain.store import Store, promotions
from retrain.store.promotions import PromotionRow

log = structlog.get_logger()

TOPIC = "promotion ends"
LONGEST_S = 15.0
"""How often to look at least: another process may have ended one."""
LEASE_S = 60.0
"""How long one is ours to close; also when it is tried again."""


async def run(
    store: Store, documents: Callable[[], Mapping[str, PromotionDocument]], place: Place, clock: Clock, owner: str
) -> None:
    """Close what is left open, until cancelled."""
    while True:
        now = clock.now()
        until = now + timedelta(seconds=LEASE_S)
        rows: list[PromotionRow] = []
        if any(_by_pull(one) for one in documents().values()):
            rows = await store.write(partial(promotions.claim_left_open, owner=owner, now=now, lease_until=until))
        for row in rows:
            try:
                await _close(store, documents(), place, clock, row)
            except RetrainError as error:
                log.warning("promotion.pull_left_open", promotion_id=row.id, error=str(error))
        if not rows:
            await store.signals.wait(TOPIC, LONGEST_S)


def _by_pull(document: PromotionDocument) -> bool:
    return any(document.at(name).spec.pullRequest for name in document.environments)


async def _close(
    store: Store, documents: Mapping[str, PromotionDocument], place: Place, clock: Clock, row: PromotionRow
) -> None:
    kept, document = Kept.read(row.pull), documents.get(row.name)
    spec = document.at(row.environment).spec if document and row.environment in document.environments else None
    if kept is None or spec is None or spec.pullRequest is None:
        raise ConfigError(f"{row.name} has no pullRequest for {row.environment} any more; close {row.pull} by hand")
    mine = Mine(row.intent_key, frozenset({kept.head}), _people(spec))
    async with open_forge(spec.pullRequest, place.vault) as forge:
        sight = await acting.see(forge, kept.branch, spec.repo.branch)
        shown, why = await _settle(forge, sight, mine, kept, row)
    await store.write(partial(saving.let_go, row=row, kept=shown, now=clock.now(), reason=why))
    log.info("promotion.pull_closed", promotion_id=row.id, number=kept.number, state=shown.state)


def _people(spec: Spec) -> frozenset[str]:
    by_api = spec.pullRequest is not None and spec.pullRequest.commits == "api"
    return frozenset({spec.commit.email, GITHUB}) if by_api else frozenset({spec.commit.email})


async def _settle(forge: Forge, sight: Sight, mine: Mine, kept: Kept, row: PromotionRow) -> tuple[Kept, str | None]:
    """Close it if it is open and ours; what it is now, and another reason if it was merged behind our back."""
    pull = await forge.state(kept.number)
    if pull.state == "merged":
        who = pull.merged_by or "somebody"
        return kept.shown(pull), f"{row.reason}; but {who} has merged #{pull.number} all the same"
    if pull.state == "open":
        why = telling.closing(row.state, row.reason)
        if sight.head is not None and not mine.made(sight.head):
            await forge.comment(pull.number, why)
            return replace(kept, state="closed", by="nobody: it is left to whoever has committed to it"), None
        await acting.close(forge, pull.number, why)
        return replace(kept, state="closed", by="Retrain"), None
    return kept.shown(pull), None
