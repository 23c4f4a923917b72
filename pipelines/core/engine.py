"""The workflow engine: what has happened goes in, what is to be done comes out.

Pure: no clock, no I/O, no chance. `begin` makes a `Run` of a manifest, `step` moves it (in place), `restore` makes it
again of what was saved. The node tree, the phases and the messages are those of Argo's controller.

    run = begin(manifest, name="train-x7k2p", uid=uid, created=now, templates=catalog)
    decision = step(run, [], now)          # save decision.changed and .edges, then start decision.start, ...
    decision = step(run, [TaskResult(...)], later)

Source: workflow/controller/operator.go of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pipelines.checks.unsupported import unsupported
from pipelines.checks.workflow import check
from pipelines.core import hooks, launch, leaves, locks, memo, suspend
from pipelines.core.attempts import RetryRules
from pipelines.core.dag import DagRules
from pipelines.core.ending import begin_entry, deadline_of, entry_call, go_on, never_began, settle
from pipelines.core.happenings import (
    ContainerNews,
    Happening,
    LockNews,
    MemoNews,
    Progressed,
    Ready,
    Resume,
    SetNodes,
    Started,
    Stop,
    Suspend,
    Task,
    TaskResult,
    Tick,
)
from pipelines.core.nodes import Node, Phase
from pipelines.core.plan import Catalog, compile_plan
from pipelines.core.run import Decision, Run
from pipelines.core.state import Frame
from pipelines.core.status import status
from pipelines.core.steps import StepsRules
from pipelines.core.walk import Ended, Rulebook, Walk
from retrain.errors import ConfigError

__all__ = ["Decision", "Run", "begin", "restore", "status", "step", "unfinished"]

DEADLINE = "Step exceeded its deadline"
_STEPS, _DAG, _LEAF = StepsRules(), DagRules(), leaves.LeafRules()
BOOK = Rulebook(
    {
        "Steps": _STEPS, "StepGroup": _STEPS, "DAG": _DAG, "TaskGroup": _DAG, "Retry": RetryRules(),
        "Pod": _LEAF, "HTTP": _LEAF, "Suspend": suspend.SuspendRules(),
    },
    hooks.Hooks(),
    launch.pass_gates,
)  # fmt: skip


def begin(manifest: Mapping[str, Any], *, name: str, uid: str, created: datetime, templates: Catalog) -> Run:
    """A run that has not started.

    Raises:
        ConfigError: the manifest is no workflow, or asks for what is not done; nothing was started.
    """
    plan = compile_plan(manifest, name=name, uid=uid, created=created, catalog=templates)
    for problem in check(manifest, templates):
        raise ConfigError(f"invalid spec: {problem.message}")
    for problem in unsupported({"spec": plan.spec}):
        raise ConfigError(f"{'.'.join(str(step) for step in problem.path)}: {problem.message}")
    plan.resolve(entry_call(plan).step, plan.holder)
    run = Run(plan, suspended=bool(plan.spec.get("suspend")))
    shutdown = str(plan.spec.get("shutdown") or "")
    if shutdown:
        run.strategy, run.state.halted = shutdown, _halt_message(shutdown)
    return run


def step(run: Run, happened: Sequence[Happening], now: datetime) -> Decision:
    """Move a run on. Results of nodes that have ended already change nothing, so a report may come twice.

    The run itself is changed, and is `decision.run`.
    """
    walk = Walk(run.plan, run.state, now, BOOK)
    if run.ended or not _has_begun(run, walk, happened):
        return _decision(run, walk)
    walk.deadline = deadline_of(run)
    happened = _held_back(run, happened, now)
    if not run.suspended:
        go_on(walk)
    for one in happened:
        _apply(walk, run, one)
    if not walk.state.halted and walk.deadline is not None and now >= walk.deadline:
        walk.halt(DEADLINE, exits_too=False)
    settle(walk, run)
    return _decision(run, walk)


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
    suspended: bool = False,
    edges: Mapping[str, Sequence[str]] | None = None,
    artifacts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Run:
    """A run as its saved nodes (`Node.to_argo()` by id) say it is. `outputs` and `artifacts` are what the last Decision
    said; `edges` are the children by node, None if they are inside of the nodes.

    Go on with `step(run, [Tick()], now)`; `unfinished(run)` is what was asked for and has not been reported. Locks and
    memos that are not answered are asked for once more by the first step.
    """
    run = begin(manifest, name=name, uid=uid, created=created, templates=templates)
    run.suspended, run.strategy = suspended, strategy or run.strategy
    state = run.state
    state.halted = _halt_message(run.strategy)
    if not nodes:
        run.started_at = started_at
        run.phase = Phase.Pending if started_at is None else Phase.Running
        return run
    state.exports, state.artifacts = dict(outputs or {}), dict(artifacts or {})
    walk = _loaded(run, nodes, edges)
    found = dict(state.nodes)
    root = found.get(name)
    run.phase, run.started_at = Phase.Running, started_at or (root and root.started_at)
    _adopt(run, walk, root)
    run.unsaved = tuple(key for key, node in state.nodes.items() if found.get(key) is not node)
    state.ask_again = True
    return run


def _loaded(
    run: Run, nodes: Mapping[str, Mapping[str, Any]], edges: Mapping[str, Sequence[str]] | None
) -> Walk:  # fmt: skip
    walk = Walk(run.plan, run.state, run.plan.created, BOOK, adopting=True)
    for body in nodes.values():
        walk.put(Node.from_argo(body))
    for key, body in nodes.items():
        children: Sequence[str] = (body.get("children") or ()) if edges is None else edges.get(key, ())
        walk.add_children(key, [child for child in children if child in nodes])
    return walk


def _adopt(run: Run, walk: Walk, root: Node | None) -> None:
    """Rebuild what follows from the nodes: who runs, and who waits for whom."""
    if root is None or not root.phase.fulfilled:
        begin_entry(walk)
        walk.run()
        return
    hooks.adopt(walk, entry_call(run.plan), root)
    exits = walk.get(f"{run.plan.name}.onExit")
    if exits is not None and not exits.phase.fulfilled:
        walk.ended.append(Ended(entry_call(run.plan), root.id, ""))
        settle(walk, run)
    else:
        walk.run()  # the exit handler or the end may be due: the first step sees to it, and knows the time


def unfinished(run: Run) -> tuple[Task, ...]:
    """The tasks that were started and have not been reported."""
    walk = Walk(run.plan, run.state, run.plan.created, BOOK)
    asked = [frame for frame in _asked(run) if run.nodes[frame.node_id].started_at is not None]
    return tuple(leaves.task_of(walk, frame) for frame in asked if not walk.at_gate(frame.node_id))


def _asked(run: Run) -> list[Frame]:
    return [frame for frame in run.state.frames.values() if frame.kind in ("Pod", "HTTP")]


def _ask_again(run: Run, walk: Walk) -> None:
    """Ask once more for what is unanswered, and for the first time for a node that `reset` wants to begin anew."""
    state = walk.state
    state.ask_again = False
    walk.acquire, walk.look_up = {**state.wishes, **walk.acquire}, {**state.lookups, **walk.look_up}
    for frame in _asked(run):
        if run.nodes[frame.node_id].started_at is None:
            walk.edit(frame.node_id, started_at=walk.now)
            walk.tasks[frame.node_id] = leaves.task_of(walk, frame)


# --- before anything runs -------------------------------------------------------------------------------------------


def _has_begun(run: Run, walk: Walk, happened: Sequence[Happening]) -> bool:
    """Whether the workflow runs: it may need a lock of its own first."""
    if run.started_at is not None:
        return True
    try:
        wish = locks.wish_of(run.plan, "", run.plan.spec.get("synchronization"))
    except ConfigError as error:
        never_began(run, walk, Phase.Failed, f"Failed to acquire the synchronization lock. {error}")
        return False
    if wish is not None and not _has_lock(run, walk, happened, wish):
        return False
    run.phase, run.message, run.started_at = Phase.Running, "", walk.now
    return True


def _has_lock(run: Run, walk: Walk, happened: Sequence[Happening], wish: locks.LockWish) -> bool:
    state = walk.state
    for one in happened:
        match one:
            case LockNews(holder="") if one.granted:
                locks.granted(walk, one)
            case LockNews(holder="") if "" in state.wishes:
                run.message = locks.waiting_message(one)
            case Stop(selector=""):
                run.strategy = one.strategy
            case Suspend() | Resume(selector=""):
                run.suspended = isinstance(one, Suspend)
            case _:
                pass
    if "" in state.held:
        return True
    if run.strategy:
        never_began(run, walk, Phase.Failed, f"Stopped with strategy '{run.strategy}'")
    elif "" not in state.wishes:
        state.wishes[""] = walk.acquire[""] = wish
    return False


# --- what happened --------------------------------------------------------------------------------------------------


def _held_back(run: Run, happened: Sequence[Happening], now: datetime) -> Sequence[Happening]:
    """What counts now. During a suspension results are kept for later; a stop or the deadline ends it, too."""
    was = run.suspended
    for one in happened:
        if isinstance(one, Suspend) or (isinstance(one, Resume | Stop) and not one.selector):
            run.suspended = isinstance(one, Suspend)
    if run.suspended and (deadline := deadline_of(run)) is not None and now >= deadline:
        run.suspended = False
    if run.suspended:
        run.held = (*run.held, *(one for one in happened if isinstance(one, TaskResult)))
        return [one for one in happened if isinstance(one, _SEEN)]
    if was or run.held:
        held, run.held = run.held, ()
        return [*held, *happened, Tick()]
    return happened


_SEEN = (Started, Progressed, ContainerNews, SetNodes, Stop, Resume)
"""What is taken in also while the workflow is suspended: it starts nothing."""


def _apply(walk: Walk, run: Run, one: Happening) -> None:  # noqa: C901 - one line for each kind
    match one:
        case TaskResult():
            leaves.result(walk, one)
        case Started():
            leaves.started(walk, one)
        case Ready():
            leaves.ready(walk, one)
        case Progressed():
            leaves.progressed(walk, one)
        case ContainerNews():
            leaves.container_news(walk, one)
        case LockNews():
            _lock_news(walk, one)
        case MemoNews():
            _memo_news(walk, one)
        case Tick():
            for node_id in walk.rung():
                _ring(walk, node_id)
            walk.freed()
        case Stop():
            _stop(walk, run, one)
        case Resume():
            suspend.resumed(walk, one)
        case SetNodes():
            suspend.set_nodes(walk, one)
        case Suspend():
            pass  # seen to before anything else


def _ring(walk: Walk, node_id: str) -> None:
    frame = walk.frames.get(node_id)
    if frame is not None and walk.nodes[node_id].phase is Phase.Pending:
        leaves.end_late(walk, frame)
    else:
        walk.wake(node_id)


def _lock_news(walk: Walk, one: LockNews) -> None:
    if not one.granted:
        locks.refused(walk, one)
    elif locks.granted(walk, one) and one.holder in walk.frames:
        launch.pass_gates(walk, walk.frames[one.holder])


def _memo_news(walk: Walk, one: MemoNews) -> None:
    frame = walk.frames.get(one.node_id)
    if frame is not None and one.node_id in walk.state.lookups and not memo.answered(walk, frame, one):
        launch.pass_gates(walk, frame)


def _stop(walk: Walk, run: Run, one: Stop) -> None:
    if one.selector:
        suspend.stopped(walk, one)
    elif run.strategy != "Terminate":
        run.strategy = one.strategy
        walk.halt(_halt_message(one.strategy), exits_too=one.strategy == "Terminate")


def _halt_message(strategy: str) -> str:
    return f"workflow shutdown with strategy:  {strategy}" if strategy else ""


# --- what comes of it -----------------------------------------------------------------------------------------------


def _outputs(run: Run) -> dict[str, str]:
    root = run.state.nodes.get(run.plan.name) if run.ended else None
    own = root.outputs.parameters if root else {}
    return {key: value for key, value in {**own, **run.state.exports}.items() if value is not None}


def _decision(run: Run, walk: Walk) -> Decision:
    state, moved = run.state, run.unsaved
    run.unsaved = ()
    if state.ask_again and not run.ended:
        _ask_again(run, walk)
    deadline = None if walk.state.halted or run.ended else deadline_of(run)
    rings = None if run.suspended or run.ended else walk.next_timer()
    wakes = [at for at in (deadline, rings) if at is not None]
    return Decision(
        run=run,
        changed=tuple({**dict.fromkeys(moved), **walk.changed}),
        edges=tuple(walk.edges),
        start=tuple(walk.tasks.values()),
        stop=tuple(walk.stops),
        acquire=tuple(walk.acquire.values()),
        release=tuple(walk.release),
        look_up=tuple(walk.look_up.values()),
        remember=tuple(walk.remember),
        phase=run.phase,
        message=run.message,
        wake_at=min(wakes) if wakes else None,
        outputs=_outputs(run),
        artifacts=state.artifacts,
    )
