"""The graph from sources to promotions: what leads to what, no circle in it, and few enough boxes to read."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.app.projects.project import Project, load_project
from retrain.app.sensing.graph_picture import MOST, fold, picture
from retrain.app.sensing.sensor_graph import Graph, Node, graph_of, part_of, without_circles
from retrain.errors import NotFound

SOURCE = """\
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: lake}
spec: {webhook: {features: {endpoint: /f}, labels: {endpoint: /l}}}
"""
TRAIN = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: train-NUMBER}
spec:
  dependencies:
    - {name: features, eventSourceName: lake, eventName: features}
    - {name: all, eventSourceName: lake, eventName: "*"}
  triggers:
    - template:
        name: train
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: orders-}
              spec: {entrypoint: a, templates: [{name: a, container: {image: i, command: [true]}}]}
"""
PROMOTE = """\
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: promote}
spec:
  mode: shadow
  dependencies: [{name: done, eventSourceName: retrain, eventName: run.succeeded}]
  triggers:
    - template: {name: propose, promotion: {name: orders}}
    - template: {name: tell, retrain: {eventName: told}}
---
apiVersion: retrain.dev/v1
kind: Sensor
metadata: {name: again}
spec:
  dependencies: [{name: failed, eventSourceName: retrain, eventName: run.failed}]
  triggers:
    - template:
        name: retry
        argoWorkflow:
          operation: submit
          source: {resource: {apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {generateName: orders-},
            spec: {entrypoint: a, templates: [{name: a, container: {image: i, command: [true]}}]}}}
---
apiVersion: retrain.dev/v1
kind: Promotion
metadata: {name: orders}
spec:
  repo: {url: "https://git.example.com/x"}
  environment: production
  edits: [{file: a.yaml, path: uri, value: "{{candidate.uri}}"}]
"""


def project(place: Path, *texts: str) -> Project:
    (place / "all.yaml").write_text("---\n".join(texts))
    found = load_project([place])
    assert not found.errors, found.errors
    return found


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    return graph_of(project(tmp_path, SOURCE, TRAIN.replace("NUMBER", "1"), PROMOTE), {"lake/features": "listening"})


def test_the_way_from_a_source_to_a_promotion(graph: Graph) -> None:
    way = (
        *("source:lake/features", "sensor:train-1", "trigger:train-1/train", "workflow:orders"),
        *("source:retrain/run.succeeded", "sensor:promote", "trigger:promote/propose", "promotion:orders"),
    )
    assert set(pairwise(way)) <= set(graph.edges)
    nodes = {one.id: one for one in graph.nodes}
    assert nodes["source:lake/features"].state == "listening"
    assert nodes["sensor:promote"].state == "shadow"
    assert ("source:lake/labels", "sensor:train-1") in graph.edges, "a pattern means the entries that it matches"


def test_a_circle_is_named_and_not_drawn(graph: Graph) -> None:
    assert len(graph.back) == 1
    assert set(graph.back[0]) & {"workflow:orders", "source:retrain/run.failed", "sensor:again", "trigger:again/retry"}


def test_a_part_is_what_leads_to_it_and_what_it_leads_to(graph: Graph) -> None:
    part = part_of(graph, near="sensor:promote")
    names = {one.id for one in part.nodes}

    assert {"source:lake/features", "promotion:orders"} <= names
    assert {end for pair in part.edges for end in pair} <= names
    assert "source:lake/labels" not in {one.id for one in part_of(graph, "lake/FEATURES", "source:lake/features").nodes}
    assert part_of(graph, "nothing").nodes == ()
    with pytest.raises(NotFound, match="no such part"):
        part_of(graph, near="sensor:no")


def test_hundred_sensors_are_folded_to_what_can_be_read(tmp_path: Path) -> None:
    many = (TRAIN.replace("NUMBER", str(number)) for number in range(100))
    drawn = fold(graph_of(project(tmp_path, SOURCE, *many)))

    assert drawn.folded
    assert len(drawn.boxes) <= MOST / 4
    (box,) = [one for one in drawn.boxes if one.node.kind == "sensor"]
    assert box.node.name.startswith("100 sensors")
    assert len(box.members) == 100


def test_the_picture_is_well_formed_whatever_things_are_called() -> None:
    evil = "\"'><script>alert(1)</script>\u202e&\x00/x y"
    nodes = tuple(Node(f"{kind}:{evil}", kind, evil, evil, count=1, failed=1) for kind in ("source", "sensor"))
    text = picture(Graph(nodes, ((nodes[0].id, nodes[1].id),)))

    root = ElementTree.fromstring(text)
    links = [one.get("href") or "" for one in root.iter("{http://www.w3.org/2000/svg}a")]
    assert len(links) == 2
    assert all(link.startswith("/ui/") and "<" not in link for link in links)
    assert not list(root.iter("{http://www.w3.org/2000/svg}script"))


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef")), max_size=20))
def test_what_is_kept_has_no_circle_and_nothing_is_lost(pairs: list[tuple[str, str]]) -> None:
    edges = list(dict.fromkeys(pairs))
    kept, back = without_circles("abcdef", edges)

    assert sorted([*kept, *back]) == sorted(edges)
    left = set(kept)
    while left:
        ends = {end for _, end in left}
        roots = {start for start, _ in left} - ends
        assert roots, f"a circle: {left}"
        left = {pair for pair in left if pair[0] not in roots}


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(61, 120)), min_size=100, max_size=200))
def test_folding_keeps_every_node_and_what_leads_where(pairs: list[tuple[int, int]]) -> None:
    nodes = tuple(Node(f"n{n}", "source" if n <= 60 else "sensor", f"n{n}") for n in range(121))
    drawn = fold(Graph(nodes, tuple(dict.fromkeys((f"n{a}", f"n{b}") for a, b in pairs))))
    boxes = {name: one.node.id for one in drawn.boxes for name in (one.members or (one.node.name,))}

    assert boxes.keys() == {one.name for one in nodes}
    assert set(drawn.edges) == {(boxes[f"n{a}"], boxes[f"n{b}"]) for a, b in pairs}
