"""Which nodes of an ended run stay when it is tried again: what succeeded, without what failed and what came after it.

Pure. The rules are those of `argo retry`: a failed step is taken out together with everything that was created because
of it, and the templates around it run again. A failure that the workflow has dealt with (something after it succeeded)
stays, unless there is no other. A step with a `retryStrategy` begins anew with its first attempt. The exit handler of
the workflow always runs again; that of a step runs again with its step.

Source: `FormulateRetryWorkflow` of Argo's workflow/util.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from pipelines.core.nodes import NO_OUTPUTS, Node, Phase

AROUND = frozenset({"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"})
"""Types of nodes that hold others."""

Choose = Callable[[Node], bool]


def nothing(_node: Node) -> bool:
    """No node that succeeded runs again."""
    return False


def kept_after_reset(nodes: Mapping[str, Node], name: str, restart: Choose = nothing) -> dict[str, Node]:
    """The nodes of the run `name` that its next life begins with; those around a gap are Running again.

    `restart` chooses nodes that succeeded and run again all the same, with everything after them.
    """
    reset = _Reset(nodes)
    exits = next((one.id for one in nodes.values() if one.name == f"{name}.onExit"), None)
    if exits is not None:
        reset.remove(exits)
    for node in list(nodes.values()):
        if not node.phase.bad and node.phase.fulfilled and restart(node):
            reset.reopen(node.id)
    failed = [node for node in nodes.values() if node.id not in reset.gone and reset.failed_by_itself(node)]
    unresolved = [node for node in failed if not reset.dealt_with(node)]
    for node in unresolved or failed:
        reset.reopen(node.id)
    return reset.kept()


class _Reset:
    """A run's tree while parts of it are taken out."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._holders = _holders(nodes)
        # Whoever holds a bad step is bad because of it.
        self._at_fault = {
            holder
            for node in nodes.values()
            if node.type not in AROUND and (node.phase.bad or not node.phase.fulfilled)
            for holder in self.around(node.id)
        }
        self.gone: set[str] = set()
        self._again: set[str] = set()

    def around(self, node_id: str) -> list[str]:
        """Who holds the node, from the inside out."""
        found: list[str] = []
        while (holder := self._holders.get(node_id)) is not None and holder not in found:
            found.append(holder)
            node_id = holder
        return found

    def failed_by_itself(self, node: Node) -> bool:
        """It ended badly or never ended, through nothing inside of it; and it is no exit hook."""
        if (node.phase.fulfilled and not node.phase.bad) or node.hooked:
            return False
        if node.type in AROUND and (not node.phase.fulfilled or node.id in self._at_fault):
            return False
        around = [self._nodes[one] for one in self.around(node.id)]
        good_in_the_end = any(one.type == "Retry" and one.phase is Phase.Succeeded for one in around)
        return not good_in_the_end and not any(one.hooked for one in around)

    def dealt_with(self, node: Node) -> bool:
        """Something that came after the node succeeded."""
        after = _reach(self._nodes, [self._begin(node.id)])
        return any(self._nodes[one].phase is Phase.Succeeded and self._nodes[one].type not in AROUND for one in after)

    def reopen(self, node_id: str) -> None:
        """Take a node out, with what came after it and after all that hold it; those run again.

        One that failed through nothing inside of it is judged again.
        """
        begin = self._begin(node_id)
        own_fault = begin == node_id and self._nodes[node_id].type in AROUND
        if not own_fault:
            self.remove(begin)
        for holder in [*([begin] if own_fault else []), *self.around(begin)]:
            if holder not in self._again:
                self._again.add(holder)
                for after in self._after(holder):
                    self.remove(after)

    def remove(self, node_id: str) -> None:
        """Take a node out, with what came after it."""
        self.gone |= {node_id, *_reach(self._nodes, [node_id])}

    def kept(self) -> dict[str, Node]:
        """What is left; no edge leads to what is gone."""
        stay = {key: node for key, node in self._nodes.items() if key not in self.gone}
        return {key: self._renewed(node, stay) for key, node in stay.items()}

    def _renewed(self, node: Node, stay: Mapping[str, Node]) -> Node:
        children = tuple(child for child in node.children if child in stay)
        if node.type in AROUND and (node.id in self._again or not node.phase.fulfilled):
            return replace(
                node, phase=Phase.Running, message="", children=children, outbound_nodes=(), outputs=NO_OUTPUTS,
                finished_at=None,
            )  # fmt: skip
        return node if children == node.children else replace(node, children=children)

    def _begin(self, node_id: str) -> str:
        """Where to begin again for a node: at the outermost retried step around it, if there is one."""
        retries = [one for one in self.around(node_id) if self._nodes[one].type == "Retry"]
        return retries[-1] if retries else node_id

    def _after(self, holder: str) -> list[str]:
        """Nodes beside a holder that were created because of what is in it."""
        inside = [key for key in _reach(self._nodes, [holder]) if holder in self.around(key)]
        return [
            child
            for key in (holder, *inside)
            for child in self._nodes[key].children
            if child in self._nodes and holder not in self.around(child)
        ]


def _reach(nodes: Mapping[str, Node], start: Iterable[str]) -> set[str]:
    """Everything below the nodes, themselves not counted."""
    found: set[str] = set()
    stack = [child for one in start for child in nodes[one].children]
    while stack:
        one = stack.pop()
        if one in nodes and one not in found:
            found.add(one)
            stack += nodes[one].children
    return found


def _holders(nodes: Mapping[str, Node]) -> dict[str, str]:
    """Node -> the innermost node that holds it: a Retry its attempts, a group its members, else the boundary."""
    found = {key: node.boundary_id for key, node in nodes.items() if node.boundary_id in nodes}
    for key, node in nodes.items():
        for child in node.children:
            if child in nodes and _holds(node, nodes[child]):
                found[child] = key
    return found


def _holds(node: Node, child: Node) -> bool:
    match node.type:
        case "Retry":
            return child.retried and child.name.startswith(f"{node.name}(")
        case "StepGroup":
            return child.name.startswith(f"{node.name}.")
        case "TaskGroup":
            return child.name.startswith(f"{node.name}(")
        case _:
            return False
