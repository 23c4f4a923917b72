"""The loop that tells the registry what is live, after the fact: late, again and again, and never in anybody's way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import anyio
import structlog
from sqlalchemy import Connection

from deploy import outcomes
from deploy.git.access import Vault
from deploy.registry import marks
from deploy.registry.marks import Kept, Wish
from deploy.registry.mlflow import MlflowClient, open_mlflow
from deploy.spec import PromotionDocument
from retrain import faults
from retrain.clock import Clock
from retrain.errors import NotFound, RetrainError, Transient
from retrain.store import Store, checkpoints, leases, promotions
from retrain.store.promotions import PromotionRow

log = structlog.get_logger()

TOPIC = "promotion marks"
OWNER = "promotion marks"
"""Whose the kept values are among the checkpoints; and the name of the lease, for of several processes one tells."""
POLL_S = 5.0
LEASE_S = 60.0
BOUND_S = 45.0
"""How long telling one target may take: less than a lease lasts."""


@dataclass(frozen=True, slots=True)
class Target:
    """One environment with marks, what is live in it, and what is remembered of its marks."""

    document: PromotionDocument
    live: PromotionRow | None
    kept: Kept | None

    @property
    def name(self) -> str:
        """`digits/production`."""
        return name_of(self.document.name, self.document.spec.environment)


@dataclass(frozen=True, slots=True)
class Marker:
    """`owner`: as the promoter's, the same over restarts."""

    store: Store
    documents: Callable[[], Mapping[str, PromotionDocument]]
    vault: Vault
    clock: Clock
    owner: str

    async def run(self) -> None:
        """Look every few seconds, and whenever a promotion has ended, until cancelled."""
        while True:
            targets = await self._targets()
            async with anyio.create_task_group() as group:
                for target in targets:
                    group.start_soon(self._settle, target)
            await self.store.signals.wait(TOPIC, POLL_S)

    async def _targets(self) -> list[Target]:
        marked = [one for document in self.documents().values() for one in with_marks(document)]
        if not marked:
            return []
        try:
            return await self.store.write(partial(self._look, marked=marked))
        except Transient as error:
            log.warning("promotion.marks_unread", error=str(error))
            return []

    def _look(self, connection: Connection, marked: list[PromotionDocument]) -> list[Target]:
        now = self.clock.now()
        if not leases.take(connection, [OWNER], self.owner, now, now + timedelta(seconds=LEASE_S)):
            return []
        return [_target(connection, document) for document in marked]

    async def _settle(self, target: Target) -> None:
        """Do what is due for one target. Whatever goes wrong stays with it."""
        try:
            wish = marks.wished(target.document, target.live)
            if isinstance(wish, str):
                if target.live is None and target.kept is None:
                    return  # nothing was ever promoted here
                if (kept := marks.nothing(wish, target.kept, self.clock.now())) is not None:
                    await self._save(target, kept, None)
            elif wish is not None:
                await self._follow(target, wish)
        except Transient as error:  # the store: it is done again
            log.warning("promotion.mark_unsaved", target=target.name, error=str(error))
        except Exception:
            log.exception("promotion.mark_crashed", target=target.name)

    async def _follow(self, target: Target, wish: Wish) -> None:
        match marks.decide(wish, target.kept, self.clock.now()):
            case "set":
                await self._set(target, wish)
            case "look":
                await self._check(target, wish)
            case None:
                return

    async def _set(self, target: Target, wish: Wish) -> None:
        before = target.kept.done if target.kept else None
        problem = await self._tell(target, lambda client: tell(client, wish, before))
        now = self.clock.now()
        if isinstance(problem, str):
            await self._save(target, marks.failed(wish, target.kept, problem, now), None)
            return
        faults.point("promotion.after_mark")
        await self._save(target, marks.told(wish, now), "marked")

    async def _check(self, target: Target, wish: Wish) -> None:
        kept = target.kept
        assert kept is not None
        seen: list[str | None] = []

        async def ask(client: MlflowClient) -> None:
            seen.append(await client.alias(wish.model, wish.alias) if wish.alias is not None else None)

        problem = await self._tell(target, ask)
        now = self.clock.now()
        if isinstance(problem, str):
            await self._save(target, marks.failed(wish, kept, problem, now), None)
            return
        fresh = marks.looked(wish, kept, seen[0], now)
        moved = fresh.standing == "moved" and (kept.standing, kept.seen) != (fresh.standing, fresh.seen)
        await self._save(target, fresh, "mark-moved" if moved else None)

    async def _tell(self, target: Target, work: Callable[[MlflowClient], Awaitable[None]]) -> str | None:
        """Do something with the registry; what went wrong, in words."""
        registry = target.document.spec.registry
        if registry is None:
            return "there is no registry to mark it in; write spec.registry"
        try:
            with anyio.fail_after(BOUND_S):
                async with open_mlflow(registry.mlflow, self.vault) as client:
                    await work(client)
        except TimeoutError:
            return f"{registry.mlflow.url} took more than {BOUND_S:g} s"
        except RetrainError as error:
            return str(error)
        return None

    async def _save(self, target: Target, kept: Kept, phase: str | None) -> None:
        await self.store.write(partial(self._write, target=target, kept=kept, phase=phase))
        if phase is not None:
            self.store.signals.notify("outbox")
        before = target.kept
        if before is None or (before.standing, before.reason) != (kept.standing, kept.reason):
            level = log.info if kept.standing == "done" else log.warning
            level("promotion.mark", target=target.name, standing=kept.standing, reason=kept.reason)

    def _write(self, connection: Connection, target: Target, kept: Kept, phase: str | None) -> None:
        checkpoints.save(connection, OWNER, {target.name: marks.written(kept)})
        if phase is not None and target.live is not None:
            now = self.clock.now()
            sign = f"{phase}.{int(now.timestamp() * 1000):x}"
            outcomes.tell(connection, target.live, phase, sign, now, mark=marks.shown(kept))


async def tell(client: MlflowClient, wish: Wish, before: Wish | None) -> None:
    """Say in the registry what is live. The same again changes nothing.

    The alias comes first: it is what others load by. Then the tags, and at last those of the version before.
    """
    version = await client.version(wish.model, wish.version)
    if wish.alias is not None and wish.alias not in version.aliases:
        await client.set_alias(wish.model, wish.alias, wish.version)
    for key, value in wish.tags.items():
        if version.tags.get(key) != value:
            await client.set_tag(wish.model, wish.version, key, value)
    if before is not None:
        await _take_off(client, wish, before)


async def _take_off(client: MlflowClient, wish: Wish, before: Wish) -> None:
    """Take our tags from what was live before, but for those that say something else by now."""
    same = (before.model, before.version) == (wish.model, wish.version)
    gone = {key: value for key, value in before.tags.items() if not (same and key in wish.tags)}
    if not gone:
        return
    try:
        version = await client.version(before.model, before.version)
    except NotFound:
        return
    for key, value in gone.items():
        if version.tags.get(key) == value:
            await client.delete_tag(before.model, before.version, key)


def with_marks(document: PromotionDocument) -> list[PromotionDocument]:
    """The environments of a Promotion that have marks, each as its only one."""
    found = [document.at(name) for name in document.environments]
    return [one for one in found if one.spec.mark is not None]


def name_of(promotion: str, environment: str) -> str:
    """Under which name a target's marks are kept."""
    return f"{promotion}/{environment}"


def kept_of(connection: Connection, promotion: str, environment: str) -> Kept | None:
    """What is remembered of a target's marks."""
    name = name_of(promotion, environment)
    return marks.read(checkpoints.get_many(connection, OWNER, [name]).get(name))


def _target(connection: Connection, document: PromotionDocument) -> Target:
    name, environment = document.name, document.spec.environment
    live = promotions.newest_promoted(connection, name, environment)
    return Target(document, live, kept_of(connection, name, environment))
