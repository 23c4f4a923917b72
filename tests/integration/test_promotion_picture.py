"""The picture of a promotion's evaluation, as the API gives it: words from outside stay words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from retrain.store import promotions
from retrain.store.promotions import PromotionRow
from tests.integration.page_house import House, house

pytestmark = pytest.mark.integration

ROC = {"x": [0, 0.2, 1], "y": [0, 0.9, 1], "champion": {"x": [0, 1], "y": [0, 1]}}


async def shown(place: House, **evaluation: Any) -> Any:
    now = datetime.now(UTC)
    candidate = {"digest": f"sha256:{'a' * 64}", "uri": "s3://m", "evaluation": evaluation}
    row = PromotionRow("p-1", "k", "digits", "staging", candidate, now, now, now)
    await place.store.write(lambda c: promotions.propose(c, row))
    async with place.visitor() as visitor:
        return await visitor.get("/api/v1/promotions/p-1/gates.svg")


async def test_curves_and_slices_are_drawn_and_run_nothing(tmp_path: Path) -> None:
    wicked = "</text><script>alert(1)</script>"
    slices = {wicked: {"n": 50, "metrics": {"accuracy": 0.9}, "champion": {"accuracy": 0.8}}}
    async with house(tmp_path) as place:
        answer = await shown(place, curves={"roc": ROC, wicked: ROC}, slices=slices)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["x-content-type-options"] == "nosniff"
    names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(answer.text).iter()}
    assert "polyline" in names
    assert "script" not in names


async def test_a_promotion_without_figures_to_draw_is_said(tmp_path: Path) -> None:
    async with house(tmp_path) as place:
        answer = await shown(place, metrics={"accuracy": 0.9})

    assert (answer.status_code, "neither curves nor slices" in answer.text) == (404, True)
