"""Pictures of a run: what followed from what, laid out so that it can be read, and nothing in it that is obeyed."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.pictures.dot import dot
from pipelines.pictures.gantt import chart_of, gantt, gantt_svg
from pipelines.pictures.graph import graph_of
from pipelines.pictures.layers import lay_out
from pipelines.pictures.mermaid import mermaid
from pipelines.pictures.svg import svg
from tests.unit.pictured import diamond, run_of, steps

NOW = datetime(2026, 11, 21, 10, 1, tzinfo=UTC)
EVIL = "\"]; <script>alert('x')</script> & --> \x1b[31m \u202e %%{init}%% \\"


def wide(many: int, phase: str = "Succeeded") -> dict[str, Any]:
    items = [f"wf[0].l({n}:{n})" for n in range(many)]
    return run_of(
        ("wf", "Steps", "Running", "", ["wf[0]"]),
        ("wf[0]", "StepGroup", "Running", "wf", items),
        *((item, "Pod", phase, "wf", [], {"startedAt": "2026-11-21T10:00:00Z"}) for item in items),
        phase="Running",
    )


def test_edges_lead_through_groups_that_are_left_out() -> None:
    graph = graph_of(steps())

    assert ("wf", "wf[0].a") in graph.edges
    assert ("wf[0].b", "wf[1].try") in graph.edges
    assert ("wf[1].try(1)", "wf[2].l(0:x)") in graph.edges
    assert [vertex.label for vertex in graph.vertices][:3] == ["wf", "a", "b"]


def test_between_many_and_many_a_group_is_a_junction() -> None:
    first, second = [f"wf[0].a({n}:{n})" for n in range(30)], [f"wf[1].b({n}:{n})" for n in range(30)]
    run = run_of(
        ("wf", "Steps", "Succeeded", "", ["wf[0]"]),
        ("wf[0]", "StepGroup", "Succeeded", "wf", first),
        *((one, "Pod", "Succeeded", "wf", ["wf[1]"], {"startedAt": None}) for one in first),
        ("wf[1]", "StepGroup", "Succeeded", "wf", second, {"startedAt": None}),
        *((one, "Pod", "Succeeded", "wf", [], {"startedAt": None}) for one in second),
    )

    graph = graph_of(run)

    assert len(graph.edges) == 90
    assert [vertex.id for vertex in graph.vertices if vertex.junction] == ["wf[1]"]


def test_a_large_loop_is_folded_by_phase() -> None:
    run = wide(1000)
    for n in range(7):
        run["status"]["nodes"][f"wf[0].l({n}:{n})"]["phase"] = "Failed"

    graph = graph_of(run)

    assert {vertex.label: vertex.phase for vertex in graph.vertices} == {
        "wf": "Running",
        "l x7": "Failed",
        "l x993": "Succeeded",
    }
    assert len(graph.edges) == 2


@st.composite
def dags(draw: st.DrawFn) -> tuple[list[str], list[tuple[str, str]]]:
    many = draw(st.integers(1, 30))
    keys = [f"n{index}" for index in range(many)]
    pairs = [(keys[a], keys[b]) for a in range(many) for b in range(a + 1, many)]
    return keys, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=60)) if pairs else []


@given(dags())
@settings(deadline=None)
def test_boxes_do_not_overlap_and_every_edge_leads_on(dag: tuple[list[str], list[tuple[str, str]]]) -> None:
    keys, edges = dag
    sizes = {key: 20.0 + 5 * (index % 3) for index, key in enumerate(keys)}

    layout = lay_out(sizes, edges, 10)

    assert all(layout.layer[start] < layout.layer[end] for start, end in edges)
    for start, end in edges:
        assert [layer for layer, _ in layout.bends[start, end]] == list(
            range(layout.layer[start] + 1, layout.layer[end])
        )
    for number in range(layout.layers):
        row = sorted((key for key in keys if layout.layer[key] == number), key=layout.middle.__getitem__)
        for one, two in pairwise(row):
            distance = layout.middle[two] - layout.middle[one]
            assert distance >= (sizes[one] + sizes[two]) / 2 + 10 - 1e-6
    assert all(layout.middle[key] >= sizes[key] / 2 - 1e-6 for key in keys)


def test_a_diamond_is_symmetric() -> None:
    edges = [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]

    layout = lay_out(dict.fromkeys("abcd", 20.0), edges, 10)

    assert layout.middle["a"] == pytest.approx((layout.middle["b"] + layout.middle["c"]) / 2, abs=0.5)
    assert layout.middle["d"] == pytest.approx(layout.middle["a"], abs=0.5)


def test_a_ladder_that_can_be_drawn_without_crossings_is() -> None:
    edges = [("s", f"a{n}") for n in (3, 1, 2, 0)] + [(f"a{n}", f"b{n}") for n in (2, 0, 3, 1)]
    sizes = dict.fromkeys(["s", *(f"a{n}" for n in range(4)), *(f"b{n}" for n in (2, 3, 1, 0))], 10.0)

    layout = lay_out(sizes, edges, 5)

    order_a = sorted(range(4), key=lambda n: layout.middle[f"a{n}"])
    assert order_a == sorted(range(4), key=lambda n: layout.middle[f"b{n}"])


def test_every_node_is_in_every_picture() -> None:
    run = diamond()

    for picture in (dot(run), mermaid(run), svg(run)):
        assert all(label in picture for label in ("wf", "work"))
    assert dot(run).count("->") == mermaid(run).count("-->") == 5
    assert svg(run).count("<g>") == 5


def evil() -> dict[str, Any]:
    fields = {"displayName": EVIL, "templateName": EVIL, "message": EVIL}
    run = run_of(("wf", "DAG", "Failed", "", ["wf.a"], fields), ("wf.a", "Pod", "Failed", "wf", [], fields), name=EVIL)
    return {**run, "metadata": {"name": EVIL}}


@pytest.mark.parametrize("draw", [svg, lambda run: gantt_svg(run, NOW)])
def test_names_never_become_markup_of_an_svg(draw: Any) -> None:
    root = ElementTree.fromstring(draw(evil()))

    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "rect", "text", "path", "g", "circle"}
    assert "alert" in "".join(root.itertext())


def test_names_never_end_a_text_of_dot_or_mermaid() -> None:
    for line in dot(evil()).splitlines():
        assert line.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 0
    for line in mermaid(evil()).splitlines()[1:]:
        assert line.count('"') in {0, 2}
        assert "script>" not in line
        assert line.isprintable()


def test_a_bar_reaches_from_start_to_end_and_an_open_one_to_now() -> None:
    run = diamond()
    run["status"]["nodes"]["wf.d"]["finishedAt"] = None

    bars = {bar.node["displayName"]: (bar.start, bar.end, bar.open) for bar in chart_of(run, NOW).bars}

    assert bars["b"] == (2, 4, False)
    assert bars["d"] == (4, 60, True)


def test_the_chart_fits_its_width_and_names_every_step() -> None:
    text = gantt(steps(), NOW, width=80)

    assert max(len(line) for line in text.splitlines()) <= 80
    assert all(name in text for name in ("a", "try(0)", "l(10:z)"))
    assert gantt(steps(), NOW, width=80, utf8=False).isascii()


def test_a_run_that_has_not_begun_can_be_drawn() -> None:
    run = {"metadata": {"name": "wf"}, "spec": {}, "status": {"phase": "Pending"}}

    assert "wf" in svg(run)
    assert gantt(run, NOW) == "\n" or gantt(run, NOW).strip() == "0"
    assert ElementTree.fromstring(gantt_svg(run, NOW)) is not None
    assert mermaid(run) == "flowchart LR\n"


def test_ten_thousand_nodes_are_drawn_folded() -> None:
    picture = svg(wide(10_000))

    assert picture.count("<g>") == 2
    assert "l x10000" in picture
