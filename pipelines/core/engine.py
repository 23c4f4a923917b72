"""The workflow engine: what has happened goes in, what is to be done comes out.

Pure: no clock, no I/O, no chance. `begin` makes a `Run` of a manifest, `step` moves it, `restore` makes it again of
what was saved. The node tree, the phases and the messages are those of Argo's controller.

    run = begin(manifest, name="train-x7k2p", uid=uid, created=now, templates=catalog)
    decision = step(run, [], now)          # start decision.start, save decision.changed
    decision = step(decision.run, [TaskResult(...)], later)

Source: workflow/controller/operator.go of Argo Workflows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from pipelines.checks.unsupported import unsupported
from pipelines.checks.workflow import check
from pipelines.core.dag import DagRules
from pipelines.core.happenings import Happening, Resume, Started, Stop, Suspend, Task, TaskResult, Tick
from pipelines.core.naming import go_json, task_name
from pipelines.core.nodes import Node, Outputs, Phase, to_rfc3339
from pipelines.core.plan import Catalog, Plan, compile_plan
from pipelines.core.retry import duration_s
from pipelines.core.state import Call, Frame, State
from pipelines.core.steps import StepsRules
from pipelines.core.walk import Ended, Rules, Walk
from retrain.errors import ConfigError

DEADLINE = "Step exceeded its deadline"
_STEPS, _DAG = StepsRules(), DagRules()
RULES: Mapping[str, Rules] = {"Steps": _STEPS, "StepGroup": _STEPS, "DAG": _DAG, "TaskGroup": _DAG}


@dataclass(frozen=True, slots=True)
class Run:
    """A workflow and how far it is. `phase` is the workflow's."""

    plan: Plan
    state: State = field(default_factory=State)
    phase: Phase = Phase.Pending
    message: str = ""
    strategy: str = ""
    """Stop or Terminate, once somebody asked for it."""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    suspended: bool = False
    held: tuple[TaskResult, ...] = ()
    """What was reported during a suspension. Not saved: an executor reports it again to the next life of the run."""
    unsaved: tuple[str, ...] = ()
    """Nodes that `restore` moved on; the next Decision has them among those to save."""

    @property
    def nodes(self) -> Mapping[str, Node]:
        return self.state.nodes

    @property
    def ended(self) -> bool:
        return self.phase.fulfilled

    @property
    def parked(self) -> bool:
        """It is suspended and nothing of it runs: it need not be held until it is resumed."""
        reported = {one.node_id for one in self.held}
        return self.suspended and all(
            frame.kind != "Pod" or frame.node_id in reported for frame in self.state.frames.values()
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """What a step asks for. The caller saves `changed` before it starts or stops anything."""

    run: Run
    changed: tuple[str, ...]
    """Ids of the nodes to save."""
    start: tuple[Task, ...]
    stop: tuple[str, ...]
    """Ids of nodes whose tasks are to be killed; what is reported of them later is passed over."""
    phase: Phase
    message: str
    wake_at: datetime | None
    """When to step with a Tick if nothing else happens; None is never."""
    outputs: Mapping[str, str]
    """Output parameters with a `globalName` so far; once the run has ended, those of the entry template too."""


def begin(manifest: Mapping[str, Any], *, name: str, uid: str, created: datetime, templates: Catalog) -> Run:
    """A run that has not started.

    Raises:
        ConfigError: the manifest is no workflow, or asks for what is not built; nothing was started.
    """
    plan = compile_plan(manifest, name=name, uid=uid, created=created, catalog=templates)
    for problem in check(manifest, templates):
        raise ConfigError(f"invalid spec: {problem.message}")
    for problem in unsupported({"spec": plan.spec}):
        raise ConfigError(f"{'.'.join(str(step) for step in problem.path)}: {problem.message}")
    plan.resolve(_entry_call(plan).step, plan.holder)
    return Run(plan)


def step(run: Run, happened: Sequence[Happening], now: datetime) -> Decision:
    """Advance a run. Results of nodes that have ended already change nothing, so a report may come twice."""
    if run.ended:
        return _decision(run, Walk(run.plan, run.state, now, RULES))
    if run.started_at is None:
        run = replace(run, phase=Phase.Running, started_at=now)
    run, happened = _held_back(run, happened, now)
    walk = Walk(run.plan, run.state, now, RULES)
    if not run.suspended:
        _go_on(walk)
    for one in happened:
        run = _apply(walk, run, one)
    if not walk.halted and (deadline := _deadline(run)) is not None and now >= deadline:
        walk.halt(DEADLINE, exits_too=False)
    return _decision(_settle(walk, run), walk)


def restore(  # noqa: PLR0913 - what was saved of a run, one part each
    manifest: Mapping[str, Any],
    nodes: Mapping[str, Mapping[str, Any]],
    *,
    name: str,
    uid: str,
    created: datetime,
    templates: Catalog,
    started_at: datetime | None = None,
    outputs: Mapping[str, str] | None = None,
    strategy: str = "",
) -> Run:
    """A run as its saved nodes (`Node.to_argo()` by id) say it is. `outputs` is what the last Decision said.

    Go on with `step(run, [Tick()], now)`; `unfinished(run)` is what was asked for and has not been reported.
    """
    run = begin(manifest, name=name, uid=uid, created=created, templates=templates)
    found = {key: Node.from_argo(node) for key, node in nodes.items()}
    if not found:
        return run
    state = State(nodes={}, exports=dict(outputs or {}), halted=_halt_message(strategy))
    walk = Walk(run.plan, state, created, RULES, adopting=True)
    for node in found.values():
        walk.put(node)
    root = found.get(name)
    run = replace(run, phase=Phase.Running, strategy=strategy, started_at=started_at or (root and root.started_at))
    if root is None or not root.phase.fulfilled:
        _start_entry(walk)
        walk.run()
    elif (exits := walk.get(f"{name}.onExit")) is not None and not exits.phase.fulfilled:
        walk.ended.append(Ended(_entry_call(run.plan), name, ""))
        run = _settle(walk, run)
    # Else the exit handler or the end is due: the first step sees to it, and knows the time.
    moved = tuple(key for key, node in walk.nodes.items() if found.get(key) != node)
    return replace(run, state=walk.state(), unsaved=moved)


def unfinished(run: Run) -> tuple[Task, ...]:
    """The tasks that were started and have not been reported."""
    walk = Walk(run.plan, run.state, run.plan.created, RULES)
    return tuple(walk.task(frame) for frame in run.state.frames.values() if frame.kind == "Pod")


def status(run: Run) -> dict[str, Any]:
    """Argo's `status` of the Workflow object."""
    done = sum(node.phase.fulfilled for node in run.nodes.values() if node.type == "Pod")
    parts: dict[str, Any] = {
        "phase": str(run.phase),
        "message": run.message,
        "startedAt": to_rfc3339(run.started_at),
        "finishedAt": to_rfc3339(run.finished_at),
        "progress": f"{done}/{sum(node.type == 'Pod' for node in run.nodes.values())}",
        "outputs": Outputs(run.state.exports).to_argo(),
        "nodes": {key: node.to_argo() for key, node in run.nodes.items()},
    }
    return {key: value for key, value in parts.items() if value}


# --- what happened --------------------------------------------------------------------------------------------------


def _held_back(run: Run, happened: Sequence[Happening], now: datetime) -> tuple[Run, Sequence[Happening]]:
    """What counts now. During a suspension results are kept for later; a stop or the deadline ends it, too."""
    was, suspended = run.suspended, run.suspended
    for one in happened:
        if isinstance(one, Suspend | Resume | Stop):
            suspended = isinstance(one, Suspend)
    if suspended and (deadline := _deadline(run)) is not None and now >= deadline:
        suspended = False
    run = replace(run, suspended=suspended)
    if suspended:
        results = tuple(one for one in happened if isinstance(one, TaskResult))
        return replace(run, held=(*run.held, *results)), [one for one in happened if isinstance(one, Started)]
    if was or run.held:
        return replace(run, held=()), [*run.held, *happened, Tick()]
    return run, happened


def _go_on(walk: Walk) -> None:
    """Start the entry if that has not been done; if it has ended and nobody has heard of it, tell."""
    root = walk.nodes.get(walk.plan.name)
    if root is None:
        _start_entry(walk)
    elif root.phase.fulfilled and not walk.frames:
        walk.ended.append(Ended(_entry_call(walk.plan), root.id, ""))


def _apply(walk: Walk, run: Run, one: Happening) -> Run:
    match one:
        case TaskResult():
            _result(walk, one)
        case Started():
            node = walk.nodes.get(one.node_id)
            if node is not None and node.phase is Phase.Pending:
                walk.put(replace(node, phase=Phase.Running, started_at=one.at))
        case Tick():
            for node_id, until in list(walk.timers.items()):
                if until <= walk.now:
                    del walk.timers[node_id]
                    walk.wake(node_id)
            walk.freed()
        case Stop():
            if run.strategy != "Terminate":
                walk.halt(_halt_message(one.strategy), exits_too=one.strategy == "Terminate")
                return replace(run, strategy=one.strategy)
        case Suspend() | Resume():
            pass  # seen to before anything else
    return run


def _halt_message(strategy: str) -> str:
    return f"workflow shutdown with strategy:  {strategy}" if strategy else ""


def _result(walk: Walk, result: TaskResult) -> None:
    frame = walk.frames.get(result.node_id)
    if frame is None or frame.kind != "Pod":
        return
    node = walk.nodes[frame.node_id]
    if result.started_at is not None:
        ran = Phase.Running if result.exit_code is not None else node.phase
        walk.put(replace(node, started_at=result.started_at, phase=ran))
    outputs = Outputs(
        dict(result.parameters),
        result.result if _is_read(walk, frame) else None,
        None if result.exit_code is None else str(result.exit_code),
    )
    walk.complete(frame, result.phase, result.message, outputs, finished_at=result.finished_at)


def _is_read(walk: Walk, frame: Frame) -> bool:
    """Whether the template around a step reads its standard output."""
    around = walk.frames.get(frame.call.boundary)
    return around is not None and task_name(frame.name) in around.readers


# --- the whole workflow ---------------------------------------------------------------------------------------------


def _entry_call(plan: Plan) -> Call:
    return Call({"template": plan.spec.get("entrypoint"), "arguments": plan.spec.get("arguments") or {}}, plan.holder)


def _start_entry(walk: Walk) -> None:
    walk.launch(walk.plan.name, _entry_call(walk.plan))


def _deadline(run: Run) -> datetime | None:
    limit = run.plan.spec.get("activeDeadlineSeconds")
    if limit is None or run.started_at is None:
        return None
    return run.started_at + timedelta(seconds=duration_s(str(limit)))


def _settle(walk: Walk, run: Run) -> Run:
    """Let everything follow that follows; then, if the entry has ended, the exit handler; then the end."""
    walk.run()
    while walk.ended:
        ended = walk.ended.pop(0)
        node = walk.nodes[ended.node_id]
        if ended.call.hooked:
            run = _finished(run, walk, node, ended.raised)
        elif not _start_exit(walk, run, node, ended.raised):
            run = _finished(run, walk, None, ended.raised)
        walk.run()
    return run


def _exit_hook(plan: Plan) -> Mapping[str, Any] | None:
    hook = (plan.spec.get("hooks") or {}).get("exit")
    return hook or ({"template": plan.spec["onExit"]} if plan.spec.get("onExit") else None)


def _start_exit(walk: Walk, run: Run, node: Node, raised: str) -> bool:
    """Start the exit handler, or adopt the saved one. False: there is none to wait for."""
    hook = _exit_hook(walk.plan)
    if hook is None or raised or run.strategy == "Terminate":
        return False
    walk.status = str(_phase_of(node))
    walk.failures = _failures(walk)
    name = f"{walk.plan.name}.onExit"
    call = Call({**hook, "name": name}, walk.plan.holder, hooked=True, on_exit=True)
    saved = walk.get(name)
    if saved is not None and saved.phase.fulfilled:
        walk.ended.append(Ended(call, saved.id, ""))
    elif saved is not None or not walk.adopting:
        walk.launch(name, call)
    return True


def _failures(walk: Walk) -> str:
    """`workflow.failures`: a JSON list, quoted once more, for it is meant to stand inside a JSON text."""
    found = [
        {
            "displayName": node.display_name,
            "message": node.message,
            "templateName": node.template_name,
            "phase": str(node.phase),
            "podName": node.id,
            "finishedAt": to_rfc3339(node.finished_at),
        }
        for node in walk.nodes.values()
        if node.phase.bad
    ]
    return json.dumps(go_json(found), ensure_ascii=False)


def _phase_of(node: Node) -> Phase:
    return node.phase if node.phase.bad else Phase.Succeeded


def _finished(run: Run, walk: Walk, exit_node: Node | None, raised: str) -> Run:
    root = walk.nodes[run.plan.name]
    phase, message = _phase_of(root), root.message
    if phase.bad and run.strategy:
        message = f"Stopped with strategy '{run.strategy}'"
    elif raised and exit_node is None:
        phase, message = Phase.Error, f"error in entry template execution: {raised}"
    elif phase is Phase.Succeeded and exit_node is not None and exit_node.phase.bad:
        phase, message = exit_node.phase, exit_node.message
    walk.status = str(phase)
    return replace(run, phase=phase, message=message, finished_at=walk.now)


def _outputs(run: Run, walk: Walk) -> dict[str, str]:
    root = walk.nodes.get(run.plan.name) if run.ended else None
    return {**(root.outputs.parameters if root else {}), **walk.exports}


def _decision(run: Run, walk: Walk) -> Decision:
    moved, run = run.unsaved, replace(run, state=walk.state(), unsaved=())
    wakes = [] if run.suspended else [*walk.timers.values()]
    deadline = _deadline(run)
    if deadline is not None and not walk.halted:
        wakes.append(deadline)
    start = tuple(task for node_id, task in walk.tasks.items() if node_id in walk.frames)
    return Decision(
        run=run,
        changed=tuple({**dict.fromkeys(moved), **walk.changed}),
        start=start,
        stop=tuple(walk.stops),
        phase=run.phase,
        message=run.message,
        wake_at=min(wakes) if wakes and not run.ended else None,
        outputs=_outputs(run, walk),
    )
