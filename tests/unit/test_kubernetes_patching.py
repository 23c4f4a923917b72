"""Changes of objects as merge patches: the smallest that makes one state of another, with nodes packed as they were."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.agents.changes import merged
from pipelines.kubernetes.patching import MAX_OBJECT, is_packed, merge_patch, packed, patch_to, whole
from pipelines.kubernetes.reading import unpacked
from retrain.errors import Permanent, Refused

SCALARS = st.one_of(st.booleans(), st.integers(-3, 3), st.text(max_size=3))
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)
OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(st.text(max_size=2), VALUES, max_size=5)
NODES = {"w": {"id": "w", "name": "w", "phase": "Running"}, "w-1": {"id": "w-1", "name": "w.a", "phase": "Running"}}


def workflow(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "w", "resourceVersion": "7"}, "spec": {}, "status": {"phase": "Running", **status}}


def done(found: dict[str, Any]) -> dict[str, Any]:
    """The same with its second node ended, its first gone."""
    nodes = {"w-1": {**found["status"]["nodes"]["w-1"], "phase": "Succeeded"}}
    return {**found, "status": {**found["status"], "nodes": nodes}}


@given(OBJECTS, OBJECTS)
def test_a_patch_makes_the_one_of_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    """By the rules of RFC 7386, as the project's own merge does them; an empty map that was none is not a change."""
    patch = merge_patch(old, new)

    assert merged(old, patch) == new
    assert bool(patch) == (old != new)


def test_a_patch_names_the_version_that_it_was_made_for() -> None:
    found = workflow(nodes=NODES)

    patch = patch_to(found, done(found), pack=is_packed(found))

    assert patch == {
        "metadata": {"resourceVersion": "7"},
        "status": {"nodes": {"w": None, "w-1": {"phase": "Succeeded"}}},
    }


def test_what_is_so_already_needs_no_patch() -> None:
    assert patch_to(workflow(nodes=NODES), workflow(nodes=NODES), pack=False) is None


def test_packed_nodes_are_packed_again() -> None:
    found = workflow(compressedNodes=packed(NODES))
    before = whole(found)

    patch = patch_to(before, done(before), pack=is_packed(found))

    assert before["status"]["nodes"] == NODES
    assert patch is not None
    assert patch["status"]["nodes"] is None
    after = unpacked(merged(found, patch))["status"]["nodes"]
    assert after == {"w-1": {**NODES["w-1"], "phase": "Succeeded"}}


def test_nodes_that_have_become_too_many_are_packed() -> None:
    found = workflow(nodes=NODES)
    large = done(found)
    large["status"]["nodes"]["w-1"]["message"] = "x" * MAX_OBJECT

    patch = patch_to(found, large, pack=False)

    assert patch is not None
    assert len(patch["status"]["compressedNodes"]) < 10_000


def test_nodes_that_lie_in_argos_database_are_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"w: its nodes lie in Argo's database .*fnv:42"):
        whole(workflow(offloadNodeStatusVersion="fnv:42"))


def test_what_is_packed_wrongly_is_said() -> None:
    with pytest.raises(Permanent, match="compressedNodes cannot be read"):
        whole(workflow(compressedNodes="bm90aGluZw=="))


def test_a_workflow_that_the_controller_has_not_seen_has_no_phase() -> None:
    bare = {"metadata": {"name": "w", "resourceVersion": "7"}, "spec": {}}

    assert whole(bare)["status"] == {}
