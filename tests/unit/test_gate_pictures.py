"""Pictures of a candidate: they are SVG whatever the run says, and nothing of it becomes markup."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.promotions.gate_pictures import points, svg
from retrain.cli.gate_bars import bars

ROC = {"x": [0, 0.1, 1], "y": [0, 0.8, 1], "champion": {"x": [0, 1], "y": [0, 1]}}
SLICES = {"<script>": {"n": 3, "metrics": {"accuracy": 0.9}, "champion": {"accuracy": 0.8}}}


def test_curves_and_slices_are_drawn_beside_the_live_models() -> None:
    drawn = svg({"digest": "sha256:x", "evaluation": {"curves": {"roc": ROC}, "slices": SLICES}})

    assert drawn is not None
    root = ElementTree.fromstring(drawn)
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{name}polyline")) == 2
    assert len(root.findall(f".//{name}rect")) == 4
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


@pytest.mark.parametrize(
    "evaluation", [None, {}, {"curves": {"roc": {"x": 1}}}, {"curves": [], "slices": {"a": {"metrics": {"loss": 7}}}}]
)
def test_nothing_to_draw_is_no_picture(evaluation: Any) -> None:
    assert svg({"evaluation": evaluation}) is None


@given(st.lists(st.floats() | st.none() | st.text(max_size=2)), st.lists(st.floats(0, 1)))
def test_what_is_no_share_is_left_out(xs: list[Any], ys: list[Any]) -> None:
    assert all(0 <= x <= 1 and 0 <= y <= 1 for x, y in points({"x": xs, "y": ys}))


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    many = [n / 10_000 for n in range(10_001)]

    drawn = points({"x": many, "y": many})

    assert len(drawn) <= 2001
    assert (drawn[0], drawn[-1]) == ((0, 0), (1, 1))


def test_gates_with_a_value_and_a_bound_are_bars() -> None:
    gates = [
        {"name": "go\x1bod", "figures": {"value": 0.75, "min": 0.5}},
        {"name": "loss", "figures": {"value": 7, "max": 9}},
        {"name": "none", "figures": {}},
    ]

    assert bars(gates, 4) == ["good                 ███░ 0.75 (min 0.5)"]
