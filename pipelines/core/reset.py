"""Which nodes of an ended run its next life begins with: what succeeded, without what failed and what came after it.

Pure. The rules are those of `argo retry`: a failed step is taken out together with everything that was created because
of it, and the templates around it run again. A failure that the workflow has dealt with (something after it succeeded)
stays, unless nothing else would run again. A step with a `retryStrategy` begins anew with its first attempt; a daemon
runs again where the template around it does. The exit handler of the workflow always runs again; that of a step with
its step.

`argo resubmit --memoized` is the same for a run of another name. Unlike there, what succeeded stays Succeeded (and not
Skipped): else `depends: "a.Succeeded"` and the results of a loop would change their meaning.

Source: `FormulateRetryWorkflow`, `FormulateResubmitWorkflow` of Argo's workflow/util.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.core.naming import node_id
from pipelines.core.nodes import NO_OUTPUTS, Node, Phase

AROUND = frozenset({"Steps", "StepGroup", "DAG", "TaskGroup", "Retry"})
"""Types of nodes that hold others."""

Choose = Callable[[Node], bool]


@dataclass(frozen=True, slots=True)
class Saved:
    """Nodes by id, and their children in order."""

    nodes: Mapping[str, Node]
    edges: Mapping[str, Sequence[str]]

    def to_argo(self) -> dict[str, dict[str, Any]]:
        """As `status.nodes`, with the children inside."""
        return {key: node.to_argo(self.edges.get(key, ())) for key, node in self.nodes.items()}


def nothing(_node: Node) -> bool:
    """No node that succeeded runs again."""
    return False


def kept_after_reset(
    nodes: Mapping[str, Node], edges: Mapping[str, Sequence[str]], name: str, restart: Choose = nothing, *,
    reexpand: bool = False,
) -> Saved:  # fmt: skip
    """The nodes of the run `name` that its next life begins with; those around a gap are Running again.

    `restart` chooses nodes that run again however they ended, with everything in them and after them. `reexpand`: the
    parameters are others, so the groups that run again make all of their members anew.
    """
    reset = _Reset(nodes, edges)
    for node in nodes.values():
        if node.name.startswith(f"{name}.onExit"):
            reset.remove(node.id)
    chosen = [node for node in nodes.values() if restart(node)]
    for node in chosen:
        reset.begin_again(node.id)
    failed = [node for node in nodes.values() if node.id not in reset.gone and reset.failed_by_itself(node)]
    unresolved = [node for node in failed if not reset.dealt_with(node)]
    for node in unresolved or ([] if chosen else failed):
        reset.reopen(node.id)
    if reexpand:
        reset.empty_groups()
    return reset.kept()


def resubmitted(
    nodes: Mapping[str, Node], edges: Mapping[str, Sequence[str]], old_name: str, new_name: str, *,
    reexpand: bool = False,
) -> Saved:  # fmt: skip
    """What a run called `new_name` takes over from the ended run `old_name`: what a retry would keep, renamed.

    Whoever succeeded says which pod it was. A person is asked once more where one was asked.
    """
    kept = kept_after_reset(nodes, edges, old_name, reexpand=reexpand)

    def renamed(text: str) -> str:
        return new_name + text.removeprefix(old_name) if text.startswith(old_name) else text

    ids = {key: node_id(new_name, renamed(node.name)) for key, node in kept.nodes.items()}
    past = _Reset(kept.nodes, kept.edges).past()
    made = {
        ids[key]: replace(
            _taken_over(node, judged=key in past), id=ids[key], name=renamed(node.name),
            boundary_id=ids.get(node.boundary_id, ""),
            display_name=renamed(node.display_name) if node.name == node.display_name else node.display_name,
            outbound_nodes=(), template_scope=node.template_scope.replace(f"local/{old_name}", f"local/{new_name}"),
        )
        for key, node in kept.nodes.items()
    }  # fmt: skip
    return Saved(made, {ids[key]: [ids[child] for child in children] for key, children in kept.edges.items()})


def _taken_over(node: Node, *, judged: bool) -> Node:
    """What holds others is judged anew, and a person asked again; but not in an attempt that others came after."""
    if judged and node.type not in ("Pod", "HTTP"):
        return node
    if node.type in AROUND:
        return replace(node, phase=Phase.Running, message="", outputs=NO_OUTPUTS, finished_at=None)
    if node.type == "Suspend":
        return replace(node, phase=Phase.Pending, message="", outputs=NO_OUTPUTS, finished_at=None)
    if node.type in ("Pod", "HTTP") and node.phase is Phase.Succeeded:
        return replace(node, message=f"original pod: {node.id}", resources={}, usage={})
    return node


class _Reset:
    """A run's tree while parts of it are taken out."""

    def __init__(self, nodes: Mapping[str, Node], edges: Mapping[str, Sequence[str]]) -> None:
        self._nodes = nodes
        self._edges = {key: [c for c in children if c in nodes] for key, children in edges.items() if key in nodes}
        self._holders = self._found_holders()
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

    def past(self) -> set[str]:
        """The attempts of retried templates that are not the last, and all that is in them."""
        attempts = [[c for c in self._edges.get(key, ()) if self._holders.get(c) == key and self._nodes[c].retried]
                    for key, node in self._nodes.items() if node.type == "Retry"]  # fmt: skip
        before = {one for found in attempts for one in found[:-1]}
        return {key for key in self._nodes if before and (key in before or before & {*self.around(key)})}

    def failed_by_itself(self, node: Node) -> bool:
        """It ended badly or never ended, through nothing inside of it; and it is no exit hook."""
        if (node.phase.fulfilled and not node.phase.bad) or node.hooked or node.type == "Container":
            return False
        if node.type in AROUND and (not node.phase.fulfilled or node.id in self._at_fault):
            return False
        around = [self._nodes[one] for one in self.around(node.id)]
        good_in_the_end = any(one.type == "Retry" and one.phase is Phase.Succeeded for one in around)
        return not good_in_the_end and not any(one.hooked for one in around)

    def dealt_with(self, node: Node) -> bool:
        """Something that came after the node succeeded."""
        after = (self._nodes[one] for one in self._reach([self._begin(node.id)]))
        return any(one.phase is Phase.Succeeded and one.type not in AROUND and one.type != "Container" for one in after)

    def reopen(self, node_id: str) -> None:
        """Have a failed node run again; a group that failed through nothing inside of it is judged again."""
        if self._begin(node_id) == node_id and self._nodes[node_id].type in AROUND:
            self._open([node_id, *self.around(node_id)])
        else:
            self.begin_again(node_id)

    def begin_again(self, node_id: str) -> None:
        """Take a node out, with what is in it, what came after it, and what came after all that hold it."""
        begin = self._begin(node_id)
        self.remove(begin)
        self._open(self.around(begin))

    def _open(self, holders: Iterable[str]) -> None:
        """Have nodes that hold others run again, without what came after them."""
        for holder in holders:
            if holder not in self._again:
                self._again.add(holder)
                for after in self._after(holder):
                    self.remove(after)

    def remove(self, node_id: str) -> None:
        """Take a node out, with what is in it and what came after it."""
        self.gone |= {node_id, *self._reach([node_id])}

    def empty_groups(self) -> None:
        """Take out the members of the loops that run again."""
        for holder in self._again - self.gone:
            if self._nodes[holder].type in ("TaskGroup", "StepGroup"):
                for child in self._edges.get(holder, ()):
                    self.remove(child)

    def kept(self) -> Saved:
        """What is left; no edge leads to what is gone."""
        stay = {key: node for key, node in self._nodes.items() if key not in self.gone}
        daemons = {
            node.id
            for node in stay.values()
            if node.type == "Pod" and node.pod_ip and node.boundary_id in self._again and node.id not in self._again
        }
        opened = self._again | {one for key in daemons for one in self.around(key)}
        edges = {key: [c for c in self._edges.get(key, ()) if c in stay] for key in stay}
        return Saved({key: self._renewed(node, opened, daemons) for key, node in stay.items()}, edges)

    def _renewed(self, node: Node, opened: set[str], daemons: set[str]) -> Node:
        if node.type in AROUND and (node.id in opened or not node.phase.fulfilled):
            return replace(node, phase=Phase.Running, message="", outbound_nodes=(), outputs=NO_OUTPUTS,
                           finished_at=None, daemoned=False, pod_ip="")  # fmt: skip
        if node.id in daemons:
            return replace(node, phase=Phase.Pending, message="", started_at=None, finished_at=None, daemoned=False,
                           pod_ip="", outputs=NO_OUTPUTS)  # fmt: skip
        return node

    def _begin(self, node_id: str) -> str:
        """Where to begin again for a node: at the pod of a container, at the outermost retried step around it."""
        retries = [one for one in self.around(node_id) if self._nodes[one].type in ("Retry", "Pod")]
        return retries[-1] if retries else node_id

    def _after(self, holder: str) -> list[str]:
        """Nodes beside a holder that were created because of what is in it."""
        inside = [key for key in self._reach([holder]) if holder in self.around(key)]
        return [
            child for key in (holder, *inside) for child in self._edges.get(key, ()) if holder not in self.around(child)
        ]

    def _reach(self, start: Iterable[str]) -> set[str]:
        """Everything below the nodes, themselves not counted."""
        found: set[str] = set()
        stack = [child for one in start for child in self._edges.get(one, ())]
        while stack:
            one = stack.pop()
            if one not in found:
                found.add(one)
                stack += self._edges.get(one, ())
        return found

    def _found_holders(self) -> dict[str, str]:
        """Node -> the innermost node that holds it: a Retry its attempts, a group its members, else the boundary."""
        nodes = self._nodes
        found = {key: node.boundary_id for key, node in nodes.items() if node.boundary_id in nodes}
        for key, children in self._edges.items():
            for child in children:
                if _holds(nodes[key], nodes[child]):
                    found[child] = key
        for key, children in self._edges.items():
            # A hook is where its step is: it did not come after the group that both are in.
            hooks = [c for c in children if nodes[c].hooked and nodes[c].boundary_id == nodes[key].boundary_id]
            if hooks and (holder := found.get(key)) is not None:
                found |= dict.fromkeys(hooks, holder)
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
