"""A `promotion` firing becomes one proposal, whatever happens."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from deploy.spec import PromotionDocument
from retrain.errors import NotFound, Transient
from retrain.store import Store, firings, open_store, promotions
from retrain.store.firings import FiringRow
from triggers import KINDS, Dispatcher, Tools
from triggers.port import ResolveCandidate, no_registry

pytestmark = pytest.mark.integration

DOCUMENT = PromotionDocument.model_validate(
    {
        "apiVersion": "retrain.dev/v1",
        "kind": "Promotion",
        "metadata": {"name": "digits"},
        "spec": {
            "repo": {"url": "https://example.com/deployment.git"},
            "environment": "staging",
            "edits": [{"file": "model.yaml", "path": "spec.uri", "value": "{{candidate.uri}}"}],
            "gates": [{"name": "good", "kind": "threshold", "metric": "accuracy", "min": 0.9}],
        },
    }
)
CANDIDATE = {"digest": f"sha256:{'a' * 64}", "uri": "file:///models/a", "run": "r-1", "metrics": {"accuracy": "0.97"}}


def find(name: str) -> PromotionDocument:
    if name != "digits":
        raise NotFound(f"there is no Promotion {name!r}")
    return DOCUMENT


def a_firing(n: int, **action: Any) -> FiringRow:
    body = {"kind": "promotion", "promotion": "digits", "candidate": CANDIDATE} | action
    return FiringRow(f"f-{n:020x}", "s", "propose", "", (f"{n:032x}",), body, datetime.now(UTC), depth=2)


async def act(
    path: Path, rows: list[FiringRow], resolve: ResolveCandidate = no_registry
) -> tuple[list[FiringRow], list[promotions.PromotionRow]]:
    """How these firings end, and the promotions that are there then."""
    async with open_store(path / "store.db") as store:
        dispatcher = Dispatcher(store, "me", KINDS, tools=Tools(promotions=find, resolve=resolve))
        async with anyio.create_task_group() as group:
            await group.start(dispatcher.run)
            dispatcher.offer(await store.write(lambda c: dispatcher.enlist(c, rows)))
            await all_ended(store, len(rows))
            group.cancel_scope.cancel()
        ended = [await store.read(lambda c, row=row: firings.get(c, row.id)) for row in rows]
        listed = await store.read(lambda c: promotions.listing(c, promotions.PromotionFilter()))
        return [row for row in ended if row is not None], listed.items


async def all_ended(store: Store, count: int) -> None:
    with anyio.fail_after(20):
        while True:
            counts = await store.read(firings.counts)
            if counts.get("done", 0) + counts.get("dead", 0) >= count:
                return
            await anyio.sleep(0.01)


async def test_a_candidate_is_proposed_with_where_it_comes_from(tmp_path: Path) -> None:
    (firing,), (promotion,) = await act(tmp_path, [a_firing(1)])

    assert firing.state == "done"
    assert firing.result == {"promotion": promotion.id}
    assert (promotion.name, promotion.environment, promotion.state) == ("digits", "staging", "proposed")
    assert (promotion.firing_id, promotion.run_id, promotion.depth) == (firing.id, "r-1", 2)
    assert promotion.candidate["digest"] == CANDIDATE["digest"]


async def test_two_firings_that_want_the_same_are_one_promotion(tmp_path: Path) -> None:
    ended, listed = await act(tmp_path, [a_firing(1), a_firing(2)])

    assert len(listed) == 1
    assert {row.result["promotion"] for row in ended} == {listed[0].id}


async def test_a_candidate_that_a_step_wrote_whole_may_come_as_text(tmp_path: Path) -> None:
    _, listed = await act(tmp_path, [a_firing(1, candidate={"candidate": json.dumps(CANDIDATE)})])

    assert listed[0].candidate["uri"] == CANDIDATE["uri"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"promotion": "digit"}, "there is no Promotion 'digit'"),
        ({"promotion": ""}, "names no Promotion"),
        ({"candidate": {"uri": "x"}}, "candidate.digest"),
        ({"candidate": {"candidate": "soon"}}, "not JSON"),
        ({"candidate": None}, "must be an object"),
        ({"environment": "production"}, "has no environment 'production'"),
        ({"environment": ""}, "promotion.environment must name one"),
        ({"surprise": "x"}, "promotion.surprise is not supported"),
        ({"candidate": {"mlflow": {"version": "1"}}}, "cannot be looked up in a registry here"),
    ],
)
async def test_what_cannot_be_proposed_is_a_dead_letter_that_says_why(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (firing,), listed = await act(tmp_path, [a_firing(1, **change)])

    assert firing.state == "dead"
    assert said in (firing.error or "")
    assert listed == []


async def test_a_version_in_a_registry_is_looked_up_before_it_is_written_down(tmp_path: Path) -> None:
    asked: list[Any] = []

    async def resolve(document: PromotionDocument, candidate: Any) -> Any:
        asked.append((document.name, candidate))
        if len(asked) == 1:
            raise Transient("the registry is away")
        return CANDIDATE

    again = {"steps": 3, "duration": "1ms"}
    (firing,), (promotion,) = await act(
        tmp_path, [a_firing(1, candidate={"mlflow": {"alias": "champion"}}, retryStrategy=again)], resolve
    )

    assert firing.state == "done"
    assert asked == [("digits", {"mlflow": {"alias": "champion"}})] * 2
    assert promotion.candidate["digest"] == CANDIDATE["digest"]


async def test_a_candidate_may_enter_where_the_sensor_says(tmp_path: Path) -> None:
    (firing,), (promotion,) = await act(tmp_path, [a_firing(1, environment="staging")])

    assert (firing.state, promotion.environment) == ("done", "staging")
