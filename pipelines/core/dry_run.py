"""What a workflow would do, as far as that is known without running anything: plain data, a tree of nodes.

Every leaf has its command filled in. What a step will have given stands as a mark, `<steps.a.outputs.result>`; a `when`
that reads one is undecided; a loop over one is a single member `name(...)`. A template that calls itself is shown once.

    {"name": "w", "entrypoint": "main", "nodes": [node, ...]}     the entry, then the exit handler and the hooks

A node has `name`, `displayName`, `type`, `template`, `when` ({text, decided: true | false | null}), `loop` (the text of
what is looped over and not known), `needs` (display names, or a `depends` text), `retry`, `inputs` ({parameters,
artifacts}), `does` (of a leaf: its kind and the filled-in body), `children`, `note` (why something is not shown); None
where it has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pipelines.core.arguments import resolve_step, when_text
from pipelines.core.conditions import NoCondition, evaluate
from pipelines.core.expand import ExpandError, expand, is_loop
from pipelines.core.graph import Graph, graph_at
from pipelines.core.inputs import Filled, fill
from pipelines.core.launch import KINDS, MAX_DEPTH
from pipelines.core.naming import pod_name
from pipelines.core.nodes import Artifact, Inputs
from pipelines.core.plan import Holder, Plan
from pipelines.core.run import Run
from pipelines.core.substitute import Unresolved
from pipelines.core.variables import NO_MOMENT, Absent, Found, Known, Layered, Moment, RunVariables
from pipelines.core.walk import LEAVES
from retrain.errors import ConfigError

MAX_NODES = 10_000
_MARK = re.compile(r"<(?:steps|tasks|item|workflow|lastRetry)\b[^<>\s]*>")
_AGAIN = "the template is shown above: it calls itself"
_LATE = {"workflow.status": "<workflow.status>", "workflow.failures": "<workflow.failures>"}


def dry_run(run: Run) -> dict[str, Any]:
    """The tree of a run that has not begun (`begin`)."""
    plan, shower = run.plan, _Shower(run.plan)
    arguments: Mapping[str, Any] = plan.spec.get("arguments") or {}
    call = _Call({"template": plan.spec.get("entrypoint"), "arguments": arguments}, plan.holder, plan.name, plan.name)
    nodes = [shower.node(call)]
    hooks: Mapping[str, Mapping[str, Any]] = plan.spec.get("hooks") or {}
    if plan.spec.get("onExit") and "exit" not in hooks:
        hooks = {**hooks, "exit": {"template": plan.spec["onExit"]}}
    nodes += shower.hooks(plan.name, hooks, plan.holder, 0)
    return {"name": plan.name, "entrypoint": str(plan.spec.get("entrypoint") or ""), "nodes": nodes}


@dataclass(frozen=True, slots=True)
class _Call:
    step: Mapping[str, Any]
    holder: Holder
    name: str
    display: str
    path: tuple[int, ...] = ()
    """The templates around, by identity."""
    late: bool = False
    """It runs when the workflow, or its step, has ended: it may read how."""


class _Later:
    """What only a run can tell: what steps export to the whole workflow, or other names that begin so."""

    def __init__(self, start: str = "workflow.outputs.parameters.") -> None:
        self._start = start

    def __call__(self, tag: str, /) -> Found:
        return f"<{tag}>" if tag.startswith(self._start) else None

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        start = "workflow.outputs.artifacts."
        return {"name": tag.removeprefix(start), "raw": {"data": f"<{tag}>"}} if tag.startswith(start) else None

    def under(self, prefix: str, /) -> Iterable[str]:
        del prefix
        return ()

    def moment(self) -> Moment:
        return NO_MOMENT


class _Marks:
    """What the steps of a template will have given: a mark for each thing that is asked for."""

    def __init__(self, prefix: str, sees: Callable[[str], bool], inputs: Inputs, known: Layered) -> None:
        self._prefix, self._sees, self._inputs, self._known = prefix, sees, inputs, known

    def __call__(self, tag: str, /) -> Found:
        if ".outputs.artifacts." in tag:
            return None  # asked for as an artifact
        own = self._inputs.parameters.get(tag.removeprefix("inputs.parameters."))
        if tag.startswith("inputs.") and own is not None:
            return own
        return f"<{tag}>" if self._is_theirs(tag) else self._known(tag)

    def _is_theirs(self, tag: str) -> bool:
        prefix, _, rest = tag.partition(".")
        return prefix == self._prefix and "." in rest and self._sees(rest.partition(".")[0])

    def artifact(self, tag: str, /) -> Artifact | Absent | None:
        name = tag.rpartition(".")[2]
        own = next((one for one in self._inputs.artifacts if tag == f"inputs.artifacts.{one['name']}"), None)
        if self._is_theirs(tag):
            return {"name": name, "raw": {"data": f"<{tag}>"}}
        return self._known.artifact(tag) if own is None else own

    def under(self, prefix: str, /) -> Iterable[str]:
        return self._known.under(prefix)

    def moment(self) -> Moment:
        return self._known.moment()


class _Shower:
    """Walks the templates; `left` bounds how much is shown."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._known = Layered(RunVariables(plan.variables, seed=plan.uid), _Later())
        self._left = MAX_NODES

    def node(self, call: _Call, **parts: Any) -> dict[str, Any]:
        self._left -= 1
        shown = _blank(call) | parts
        if shown["when"] is not None and shown["when"]["decided"] is False:
            return shown | {"type": "Skipped"}
        try:
            template, holder = self._plan.resolve(call.step, call.holder)
            filled = self._filled(call, template)
        except (ConfigError, Unresolved) as error:
            return shown | {"note": str(error)}
        shown |= _known_of(template, filled)
        if id(template) in call.path or len(call.path) >= MAX_DEPTH or self._left <= 0:
            return shown | {"note": _AGAIN if self._left > 0 else f"more than {MAX_NODES} nodes are not shown"}
        inner = replace(call, holder=holder, path=(*call.path, id(template)))
        if template.get("steps"):
            return shown | {"children": self._groups(inner, filled)}
        if template.get("dag"):
            return shown | self._tasks(inner, filled)
        return shown | {"does": _does(filled.template)}

    def _filled(self, call: _Call, template: Mapping[str, Any]) -> Filled:
        local = {"node.name": call.name, "retries": "0", "lastRetry.exitCode": "0", "lastRetry.status": "",
                 "lastRetry.duration": "0", "lastRetry.message": ""}  # fmt: skip
        if not LEAVES.isdisjoint(template):
            local["pod.name"] = pod_name(self._plan.name, call.name, str(template.get("name", "")))
        known = Layered(Known(_LATE), self._known) if call.late else self._known
        return fill(template, call.step.get("arguments") or {}, known, local, self._plan.catalog)

    # --- steps and tasks --------------------------------------------------------------------------------------------

    def _groups(self, call: _Call, filled: Filled) -> list[dict[str, Any]]:
        groups: Sequence[Sequence[Mapping[str, Any]]] = filled.template["steps"]
        names: list[str] = []
        shown: list[dict[str, Any]] = []
        for index, group in enumerate(groups):
            scope = _Marks("steps", frozenset(names).__contains__, filled.inputs, self._known)
            own = _Call({}, call.holder, f"{call.name}[{index}]", f"[{index}]")
            members = [one for step in group for one in self._step(call, step, scope, f"{own.name}.", "steps")]
            shown.append(_blank(own) | {"type": "StepGroup", "children": members})
            names += [str(step["name"]) for step in group]
        return shown

    def _tasks(self, call: _Call, filled: Filled) -> dict[str, Any]:
        try:
            graph: Graph = graph_at(filled.template["dag"])
        except ConfigError as error:
            return {"note": str(error)}
        shown: list[dict[str, Any]] = []
        for name in graph.wanted:
            scope = _Marks("tasks", partial(graph.is_above, task=name), filled.inputs, self._known)
            task = graph.tasks[name]
            needs = [task["depends"]] if task.get("depends") else list(graph.needs(name))
            shown += [one | {"needs": needs} for one in self._step(call, task, scope, f"{call.name}.", "tasks")]
        return {"children": shown}

    def _step(
        self, call: _Call, step: Mapping[str, Any], scope: _Marks, base: str, prefix: str
    ) -> list[dict[str, Any]]:  # fmt: skip
        name = str(step["name"])
        own = _Call(step, call.holder, base + name, name, call.path, call.late)
        try:
            when = when_text(step, scope)
            if _decided(when) is False and not is_loop(step):
                return [self.node(own, when=_when(when))]
            ready = resolve_step({**step, "when": when} if when else step, scope)
            members = self._members(ready, name)
        except (ConfigError, Unresolved, ExpandError) as error:
            return [_blank(own) | {"note": str(error)}]
        shown: list[dict[str, Any]] = []
        for member, loop in members:
            at = replace(own, step=member, name=base + str(member["name"]), display=str(member["name"]))
            text = str(member.get("when") or "")
            shown.append(self.node(at, when=_when(text) if text else None, loop=loop))
            shown += self.hooks(at.name, _hooks_of(step), call.holder, len(call.path), (prefix, name, scope))
        return shown or [_blank(own) | {"type": "Skipped", "note": "Skipped, empty params"}]

    def _members(self, step: Mapping[str, Any], name: str) -> list[tuple[Mapping[str, Any], str | None]]:
        """The steps that a step stands for; one for a loop over what is not known."""
        over = str(step.get("withParam") or step.get("withSequence") or "")
        if is_loop(step) and _MARK.search(over):
            bare = {key: value for key, value in step.items() if key not in ("withParam", "withSequence")}
            (member,) = expand({**bare, "withItems": ["<item>"]}, Layered(self._known, _Later("item.")))
            return [({**member, "name": f"{name}(...)"}, over)]
        return [(one, None) for one in expand(step, self._known)]

    # --- hooks ------------------------------------------------------------------------------------------------------

    def hooks(
        self, name: str, hooks: Mapping[str, Mapping[str, Any]], holder: Holder, depth: int,
        of: tuple[str, str, _Marks] | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """What may run because of how a node is; `of` says whose outputs a step's hooks read."""
        if depth >= MAX_DEPTH or self._left <= 0:
            return []
        shown: list[dict[str, Any]] = []
        for key, hook in hooks.items():
            full = f"{name}.onExit" if key == "exit" else f"{name}.hooks.{key}"
            step = {part: value for part, value in hook.items() if part != "expression"}
            if of is not None:
                scope = _Marks(of[0], frozenset([of[1]]).__contains__, Inputs(), self._known)
                with suppress(ConfigError, Unresolved):  # else it is shown as it is written
                    step = resolve_step(step, Layered(scope, of[2]))
            text = hook.get("expression")
            when = {"text": text, "decided": None} if text else None
            shown.append(self.node(_Call(step, holder, full, full.removeprefix(name + "."), late=True), when=when))
        return shown


def _hooks_of(step: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    hooks: Mapping[str, Mapping[str, Any]] = step.get("hooks") or {}
    if step.get("onExit") and "exit" not in hooks:
        return {**hooks, "exit": {"template": step["onExit"]}}
    return hooks


def _blank(call: _Call) -> dict[str, Any]:
    return {
        "name": call.name, "displayName": call.display, "type": "Pod", "template": _called(call.step), "when": None,
        "loop": None, "needs": [], "retry": None, "inputs": {"parameters": {}, "artifacts": []}, "does": None,
        "children": [], "note": None,
    }  # fmt: skip


def _called(step: Mapping[str, Any]) -> str:
    ref: Mapping[str, Any] = step.get("templateRef") or {}
    return f"{ref.get('name')}/{ref.get('template')}" if ref else str(step.get("template") or "")


def _known_of(template: Mapping[str, Any], filled: Filled) -> dict[str, Any]:
    kind = next((kind for key, kind in KINDS.items() if template.get(key) is not None), "Pod")
    inputs = {"parameters": dict(filled.inputs.parameters), "artifacts": [dict(a) for a in filled.inputs.artifacts]}
    retry: Mapping[str, Any] | None = template.get("retryStrategy")
    return {"type": kind, "inputs": inputs, "retry": dict(retry) if retry is not None else None}


def _does(template: Mapping[str, Any]) -> dict[str, Any]:
    """What a leaf does: the kind, and its body with everything filled in."""
    kind = next((key for key in KINDS if template.get(key) is not None), "")
    more = {key: template[key] for key in ("initContainers", "sidecars", "daemon", "timeout") if template.get(key)}
    return {"kind": kind, **dict(template.get(kind) or {}), **more}


def _when(text: str) -> dict[str, Any]:
    return {"text": text, "decided": _decided(text)}


def _decided(text: str) -> bool | None:
    """Whether a condition holds; None if it reads what is not known yet, or cannot be read."""
    if not text:
        return True
    if _MARK.search(text) or "{{" in text:
        return None
    try:
        return evaluate(text)
    except NoCondition:
        return None
