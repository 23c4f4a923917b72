"""Ways of a promotion, each to be killed at a fault point and taken up again. `run` is what a child process runs.

A scenario's `before` is undisturbed; `act` is what dies on its way; `again` is what people and senders do who got no
answer: they look, and ask once more if it is not so yet.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from deploy import PromotionDocument
from retrain import faults
from retrain.identity import Principal
from retrain.store import approvals, promotions
from retrain.store.promotions import PromotionFilter, PromotionRow
from tests.integration.promotion_world import MODEL, Remote, World, candidate, document, world

ADA = Principal("ada", frozenset({"approver", "admin"}), verified=True)
FILES = {f"overlays/{name}/model.yaml": MODEL for name in ("staging", "production")}
Act = Callable[[World], Awaitable[None]]


def environment(name: str, **more: Any) -> dict[str, Any]:
    edit = {
        "file": f"overlays/{name}/model.yaml",
        "path": "spec.predictor.model.storageUri",
        "value": "{{candidate.uri}}",
    }
    gate = {"name": "accuracy", "kind": "threshold", "metric": "accuracy", "min": 0.9}
    return {"name": name, "edits": [edit], "gates": [gate], **more}


def route(remote: Path, *environments: dict[str, Any]) -> PromotionDocument:
    """A promotion with these environments."""
    body = document(remote).model_dump(mode="json", include={"apiVersion", "kind", "metadata"})
    spec = {"repo": {"url": str(remote)}, "environments": list(environments)}
    return PromotionDocument.model_validate({**body, "spec": spec})


async def _nothing(_: World) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Scenario:
    """`ends`: the states that its promotions may be in at its end, oldest first, each a possible story."""

    act: Act
    again: Act
    ends: tuple[tuple[str, ...], ...]
    before: Act = _nothing
    environments: tuple[dict[str, Any], ...] = field(default_factory=lambda: (environment("staging"),))
    meanwhile: Act = _nothing


async def rows(w: World) -> list[PromotionRow]:
    """All promotions, oldest first."""
    page = await w.store.read(lambda c: promotions.listing(c, PromotionFilter(), limit=100))
    return list(reversed(page.items))


async def still(w: World) -> None:
    """Wait until nothing is on its way any more."""
    with anyio.fail_after(60):
        while any(row.state in promotions.OPEN and row.state != "awaiting" for row in await rows(w)):  # noqa: ASYNC110
            await anyio.sleep(0.02)


async def _propose(w: World, name: str = "a") -> str:
    return await w.propose(candidate(name), firing=f"f-{name}")


async def _promote(w: World) -> None:
    await w.until(await _propose(w))


async def _wait_for_people(w: World) -> str:
    promotion = await _propose(w)
    await w.until(promotion, lambda row: row.state != "proposed" and (row.state == "awaiting" or bool(row.ended)))
    return promotion


async def _ask_for_people(w: World) -> None:
    await _wait_for_people(w)


async def _approve(w: World) -> None:
    promotion = await _propose(w)
    if not await w.store.read(lambda c: approvals.of(c, promotion)):
        await _wait_for_people(w)
        await w.promoter.people.approve(promotion, by=ADA, reason="yes")
    await w.until(promotion)


async def _reject(w: World) -> None:
    promotion = await _wait_for_people(w)
    if not await w.store.read(lambda c: approvals.of(c, promotion)):
        await w.promoter.people.reject(promotion, by=ADA, reason="no")
    await w.until(promotion)


async def _two(w: World) -> None:
    for name in "ab":
        await w.until(await _propose(w, name))


async def _go_back(w: World) -> None:
    if not any(row.action == "rollback" for row in await rows(w)):
        await w.promoter.people.rollback("digits", by=ADA, reason="odd")
    await still(w)


async def _hold(w: World) -> None:
    await w.promoter.people.hold("digits", by=ADA, reason="incident")


async def _next(w: World) -> None:
    await _promote(w)
    with anyio.fail_after(60):
        while len([row for row in await rows(w) if row.state == "committed"]) < 2:  # noqa: ASYNC110
            await anyio.sleep(0.02)


_PEOPLE = (environment("staging", approvals={"notBy": "nobody"}),)
SCENARIOS = {
    "promote": Scenario(_promote, _promote, (("committed",),)),
    "approve": Scenario(_approve, _approve, (("committed",),), before=_ask_for_people, environments=_PEOPLE),
    "reject": Scenario(_reject, _reject, (("rejected",),), before=_ask_for_people, environments=_PEOPLE),
    "next": Scenario(
        _next, _next, (("committed", "committed"),), environments=(environment("staging"), environment("production"))
    ),
    "rollback": Scenario(_go_back, _go_back, (("committed", "rolled-back", "committed"),), before=_two),
    # What is in the branch stays there, and is known; what is not does not get there any more.
    "hold": Scenario(_promote, _promote, (("committed",), ("refused",)), meanwhile=_hold),
}


def run(scenario: str, point: str, data: str, remote: str) -> None:
    """Play a scenario to the point; it must not come through."""
    anyio.run(_run, SCENARIOS[scenario], point, Path(data), Path(remote))
    os._exit(7)


async def _run(scenario: Scenario, point: str, data: Path, remote: Path) -> None:
    async with world(data, route(remote, *scenario.environments)) as w:
        await scenario.before(w)
        faults.arm(point)
        await scenario.act(w)


async def take_up(scenario: Scenario, data: Path, remote: Path) -> tuple[list[PromotionRow], list[Any], bool]:
    """What another process finds and does: the promotions at the end, the events told, and whether there is a hold."""
    doc = route(remote, *scenario.environments)
    async with world(data, doc, run=False) as w:
        await scenario.meanwhile(w)
    async with world(data, doc) as w:
        await scenario.again(w)
        await still(w)
        held = await w.store.read(lambda c: bool(promotions.all_holds(c)))
        return await rows(w), await w.events(), held


def repository(folder: Path) -> Remote:
    """The branch that the scenarios work on."""
    return Remote.create(folder / "deploy.git", FILES)
