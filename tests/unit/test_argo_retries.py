"""Which nodes run again when a run is retried, beside what Argo says of the same: for every workflow whose answer of
the real controller is recorded, and for each of its nodes that may be chosen to run again.

`tests/data/argo_retries.json` has what `FormulateRetryWorkflow` of that version makes of them: by file and selector the
nodes that it takes out and those that it opens again, as numbers in the file's list. Where it is not what is made of
them here, the difference is of a kind that docs/compatibility.md tells of.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node, Phase
from pipelines.core.reset import kept_after_reset, nothing

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/argo_retries.json").read_text())["answers"]
CASES = [(file, selector) for file, answers in ANSWERS.items() for selector in answers]
CORPUS = Path(__file__).parents[3] / "shared/corpus/argo-workflows"
AFTER_A_CONTAINER_SET = ("status/container-set-template/outputs-result-workflow.yaml.json", "displayName=b")
AS_ARGO_DOES = 544
"""Of 619."""

if not CORPUS.exists():
    pytest.skip("the controller's recorded answers are not on this machine", allow_module_level=True)


@dataclass(frozen=True, slots=True)
class Change:
    """What a retry does to a tree: the names of nodes."""

    gone: frozenset[str]
    opened: frozenset[str]


@dataclass(frozen=True, slots=True)
class Tree:
    """A run that is over: its nodes and their children, by name."""

    nodes: Mapping[str, Node]
    children: Mapping[str, list[str]]

    def retried(self, selector: str) -> Change:
        restart = compile_selector(selector) if selector else nothing
        left = kept_after_reset(self.nodes, self.children, "<wf>", restart).nodes
        opened = {key for key, node in left.items() if node.phase is Phase.Running and node != self.nodes[key]}
        return Change(frozenset(self.nodes.keys() - left.keys()), frozenset(opened))

    def tried_again(self) -> set[str]:
        """The nodes of steps with a `retryStrategy`, what is in them, and what came after them."""
        found: set[str] = set()
        waiting = [name for name, node in self.nodes.items() if node.type == "Retry"]
        while waiting:
            if (name := waiting.pop()) not in found:
                found.add(name)
                waiting += self.children[name]
        return found


@cache
def tree(file: str) -> Tree:
    bodies = json.loads((CORPUS / file).read_text())["nodes"]
    return Tree({body["name"]: node(body) for body in bodies}, {body["name"]: body["children"] for body in bodies})


def node(body: Mapping[str, Any]) -> Node:
    names = ("name", "displayName", "type", "phase", "nodeFlag")
    return Node.from_argo(
        {**{key: body[key] for key in names if key in body}, "id": body["name"], "boundaryID": body["boundary"] or ""}
    )


def said_by_argo(file: str, selector: str) -> Change:
    names = list(tree(file).nodes)
    gone, opened = (frozenset(names[number] for number in numbers) for numbers in ANSWERS[file][selector])
    return Change(gone, opened)


def is_in(name: str, group: str) -> bool:
    return name.startswith(group) and name[len(group) :][:1] in tuple(".([")


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_what_runs_again_is_what_argo_says_or_differs_as_is_written(case: tuple[str, str]) -> None:
    ours, theirs = tree(case[0]).retried(case[1]), said_by_argo(*case)
    further = theirs.opened - ours.opened

    if case == AFTER_A_CONTAINER_SET:
        assert ours.gone < theirs.gone
    elif ours.gone == theirs.gone:
        assert ours.opened <= theirs.opened
        assert not [name for name in ours.gone for group in further if is_in(name, group)], "opened for nothing in it"
    else:
        assert theirs.gone < ours.gone
        assert ours.gone - theirs.gone <= tree(case[0]).tried_again()
        assert ours.opened <= theirs.opened | theirs.gone


def test_most_are_the_same() -> None:
    same = [case for case in CASES if tree(case[0]).retried(case[1]) == said_by_argo(*case)]

    assert (len(same), len(CASES)) == (AS_ARGO_DOES, 619)
