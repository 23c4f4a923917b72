"""A workflow played in time with scripted answers: tasks run beside one another, people ask at their moments.

Real parts: the engine, and the keepers of locks and memos in memory. Only the processes are made up: each ends after
the seconds that the script says. With `crash` a decision may be the last of its life: the run is restored of what was
saved, and goes on.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from pipelines.core.engine import Decision, Run, begin, restore, step, unfinished
from pipelines.core.happenings import (
    ContainerNews,
    Happening,
    LockNews,
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
from pipelines.core.merge import merged_arguments
from pipelines.core.node_selector import compile_selector
from pipelines.core.nodes import Node, Outputs, Phase
from pipelines.core.plan import Catalog
from pipelines.core.reset import kept_after_reset, nothing, resubmitted
from pipelines.core.suspend import problems
from pipelines.host.keepers_memory import MemoryKeepers
from retrain.clock import FakeClock

T0 = datetime(2026, 11, 20, tzinfo=UTC)
LATE = "Pod was active on the node longer than the specified deadline"
KINDS = ("container", "script", "steps", "dag", "suspend", "http", "data", "resource", "containerSet", "plugin")
MOST = 1_500
"""Happenings after which a play is called endless."""


# --- short manifests ------------------------------------------------------------------------------------------------


def template_of(name: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    """A template written short: a container where no kind is named, images filled in, `dag` as a list of tasks."""
    made = {"name": name, **(body or {})}
    if not any(kind in made for kind in KINDS):
        made["container"] = {"command": ["true"]}
    for kind in ("container", "script"):
        if kind in made:
            made[kind] = {"image": "busybox:1", **made[kind]}
    if "containerSet" in made:
        inside = [{"image": "busybox:1", **one} for one in made["containerSet"]["containers"]]
        made["containerSet"] = {**made["containerSet"], "containers": inside}
    if isinstance(made.get("dag"), list):
        made["dag"] = {"tasks": made["dag"]}
    if "dag" in made:
        made["dag"] = {**made["dag"], "tasks": [_call(one) for one in made["dag"]["tasks"]]}
    if "steps" in made:
        made["steps"] = [[_call(one) for one in (group if isinstance(group, list) else [group])]
                         for group in made["steps"]]  # fmt: skip
    return made


def _call(step: Mapping[str, Any]) -> dict[str, Any]:
    """A step calls `leaf` where it calls nothing; `with: {a: 1}` are its parameters."""
    made = dict(step)
    if not {"template", "templateRef", "inline"} & made.keys():
        made["template"] = "leaf"
    if "inline" in made:
        inline = template_of("", made["inline"])
        made["inline"] = {key: value for key, value in inline.items() if key != "name"}
    if "with" in made:
        given = [{"name": name, "value": value} for name, value in made.pop("with").items()]
        made["arguments"] = {**made.get("arguments", {}), "parameters": given}
    return made


def spec_of(short: Mapping[str, Any]) -> dict[str, Any]:
    """`steps` or `dag` (and what `main` says) make the template `main`, the entrypoint; `templates` is a map."""
    spec = dict(short)
    main = {key: spec.pop(key) for key in ("steps", "dag") if key in spec} | spec.pop("main", {})
    templates = {"leaf": {"inputs": {"parameters": [{"name": "m", "default": "hi"}]}}, **spec.pop("templates", {})}
    if main:
        templates = {"main": main, **templates}
        spec.setdefault("entrypoint", "main")
    made = [template_of(name, body) for name, body in templates.items()]
    return {**spec, "templates": made} if main or spec.get("entrypoint") in templates else spec


def manifest_of(short: Mapping[str, Any], name: str) -> dict[str, Any]:
    metadata = {"name": name, **short.get("metadata", {})}
    spec = spec_of({key: value for key, value in short.items() if key != "metadata"})
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}


def document_of(short: Mapping[str, Any]) -> dict[str, Any]:
    """A document beside the workflow; of templates the `spec` is written short."""
    if "spec" not in short:
        return dict(short)
    return {"apiVersion": "argoproj.io/v1alpha1", **short, "spec": spec_of(short["spec"])}


# --- answers --------------------------------------------------------------------------------------------------------


def fits(pattern: str, name: str) -> bool:
    """`*` stands for anything; all else for itself."""
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), name, re.S) is not None


@dataclass(slots=True)
class Answers:
    """What becomes of tasks, by the node's name; a list is taken one after the other, and its last stays."""

    script: Mapping[str, Any]
    taken: dict[str, int] = field(default_factory=lambda: dict[str, int]())

    def of(self, task: Task) -> Mapping[str, Any]:
        for pattern, found in self.script.items():
            if not fits(pattern, task.node_name):
                continue
            turn = self.taken.get(pattern, 0)
            self.taken[pattern] = turn + 1
            answer = found[min(turn, len(found) - 1)] if isinstance(found, list) else found
            return {"exit": answer} if isinstance(answer, int) else answer
        return {}


def result_of(task: Task, said: Mapping[str, Any], began: datetime, ended: datetime) -> TaskResult:
    code = said.get("exit", None if "phase" in said else 0)
    phase = Phase(said.get("phase") or ("Failed" if code else "Succeeded"))
    message = said.get("message", f"main: Error (exit code {code})" if code else "")
    artifacts = tuple(
        one if isinstance(one, Mapping) else {"name": one, "s3": {"key": f"{task.node_name}/{one}"}}
        for one in said.get("artifacts", ())
    )
    parameters = {name: None if value is None else str(value) for name, value in said.get("parameters", {}).items()}
    result = None if said.get("result") is None else str(said["result"])
    return TaskResult(task.node_id, phase, code, result, parameters, message, began, ended, artifacts)


# --- the play -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Life:
    """One run: what is kept of it outside of the engine."""

    run: Run
    answers: Answers
    manifest: Mapping[str, Any]
    catalog: Catalog
    first: float
    wake_at: datetime | None = None
    decision: Decision | None = None
    tasks: dict[str, Task] = field(default_factory=lambda: dict[str, Task]())
    """By node: those whose process lives."""
    reported: dict[str, Happening] = field(default_factory=lambda: dict[str, Happening]())
    retold: set[str] = field(default_factory=lambda: set[str]())
    started: list[str] = field(default_factory=lambda: list[str]())
    spans: dict[str, tuple[float, float]] = field(default_factory=lambda: dict[str, tuple[float, float]]())
    stopped: list[str] = field(default_factory=lambda: list[str]())
    most: int = 0
    refused: list[str] = field(default_factory=lambda: list[str]())

    @property
    def name(self) -> str:
        return self.run.plan.name


@dataclass(slots=True)
class Play:
    """Runs on one keeper of locks and memos, in one time."""

    crash: bool = False
    dies: Callable[[], bool] = lambda: True
    """With `crash`: whether the platform dies after this step."""
    watch: Callable[[Life], None] = lambda _: None
    """Called after every step."""
    clock: FakeClock = field(default_factory=lambda: FakeClock(T0))
    lives: dict[str, Life] = field(default_factory=lambda: dict[str, Life]())
    agenda: list[tuple[float, int, str, Happening]] = field(
        default_factory=lambda: list[tuple[float, int, str, Happening]]()
    )
    seconds: Iterator[int] = field(default_factory=count)
    keepers: MemoryKeepers = field(init=False)

    def __post_init__(self) -> None:
        self.keepers = MemoryKeepers(self.clock)

    @property
    def now_s(self) -> float:
        return self.clock.elapsed

    def enter(self, life: Life) -> None:
        self.lives[life.name] = life
        self.keepers.watch(life.name, lambda news: self.tell(life.name, news))
        self.tell(life.name, Tick(), life.first)

    def tell(self, name: str, happening: Happening, after_s: float = 0) -> None:
        heapq.heappush(self.agenda, (self.now_s + after_s, next(self.seconds), name, happening))

    async def on(self, until_s: float | None = None) -> None:
        """Play until nothing happens any more, or until a moment."""
        for _ in range(MOST):
            at = self._next_s()
            if at is None or (until_s is not None and at > until_s):
                break
            self.clock.advance(max(0.0, at - self.now_s))
            await self._one()
        else:
            raise AssertionError(f"the play has no end; last at {self.now_s} s")
        if until_s is not None and self.now_s < until_s:
            self.clock.advance(until_s - self.now_s)

    def _wakes(self) -> list[tuple[float, str]]:
        return [((life.wake_at - T0).total_seconds(), life.name) for life in self.lives.values()
                if life.wake_at is not None and not life.run.ended]  # fmt: skip

    def _next_s(self) -> float | None:
        times = [at for at, _ in self._wakes()] + ([self.agenda[0][0]] if self.agenda else [])
        return min(times) if times else None

    async def _one(self) -> None:
        if self.agenda and self.agenda[0][0] <= self.now_s:
            _, _, name, happening = heapq.heappop(self.agenda)
            await self._happens(self.lives[name], happening)
            return
        name = min(self._wakes())[1]
        self.lives[name].wake_at = None
        await self._happens(self.lives[name], Tick())

    async def _happens(self, life: Life, one: Happening) -> None:
        if isinstance(one, TaskResult):
            if life.tasks.pop(one.node_id, None) is None:
                return  # it was stopped before
            life.reported[one.node_id] = one
            node = life.run.nodes[one.node_id]
            life.spans[node.name] = (life.spans[node.name][0], self.now_s)
        if isinstance(one, Started | Ready | ContainerNews | Progressed) and one.node_id not in life.tasks:
            return
        if isinstance(one, SetNodes | Resume | Stop) and (wrong := problems(life.run, one)):
            life.refused += wrong
            return
        await self._step(life, one)
        self.watch(life)
        if self.crash and not life.run.ended and not _is_repeated(life, one) and self.dies():
            self._restart(life)
            await self._step(life, Tick())

    async def _step(self, life: Life, one: Happening) -> None:
        life.decision = step(life.run, [one], self.clock.now())
        await self._act(life, life.decision)

    async def _act(self, life: Life, decision: Decision) -> None:
        for node_id in decision.stop:
            task = life.tasks.pop(node_id, None)
            if task is not None:
                life.stopped.append(task.node_name)
                life.spans[task.node_name] = (life.spans[task.node_name][0], self.now_s)
        for task in decision.start:
            if task.node_id not in life.tasks and task.node_id not in life.reported:
                self._start(life, task)
        life.most = max(life.most, len(life.tasks))
        for memo in decision.remember:
            await self.keepers.remember(memo)
        await self.keepers.release(life.name, decision.release)
        for wish in decision.acquire:
            self.tell(life.name, await self.keepers.acquire(life.name, wish))
        for ask in decision.look_up:
            self.tell(life.name, await self.keepers.look_up(ask))
        life.wake_at = decision.wake_at
        if decision.run.ended:
            await self.keepers.release_run(life.name)

    def _start(self, life: Life, task: Task) -> None:
        life.tasks[task.node_id] = task
        life.started.append(task.node_name)
        life.spans[task.node_name] = (self.now_s, self.now_s)
        said, now = life.answers.of(task), self.clock.now()
        self.tell(life.name, Started(task.node_id, now))
        if said.get("progress"):
            self.tell(life.name, Progressed(task.node_id, said["progress"]))
        if task.template.get("daemon") and "exit" not in said:
            self.tell(life.name, Ready(task.node_id, said.get("ip", "10.0.0.1")), said.get("after", 1))
            return
        for container, code in said.get("containers", {}).items():
            phase = Phase.Failed if code else Phase.Succeeded
            message = f"Error (exit code {code}): " if code else ""
            self.tell(life.name, ContainerNews(task.node_id, container, phase, code, message), said.get("after", 1))
        after = float(said.get("after", 1))
        if task.deadline_s is not None and after > task.deadline_s:
            ended = now + timedelta(seconds=task.deadline_s)
            late = TaskResult(task.node_id, Phase.Failed, message=LATE, started_at=now, finished_at=ended)
            self.tell(life.name, late, task.deadline_s)
        else:
            self.tell(life.name, result_of(task, said, now, now + timedelta(seconds=after)), after)

    def _restart(self, life: Life) -> None:
        """The platform dies; what was saved is loaded again, and living processes go on."""
        assert life.decision is not None
        old, saved = life.run, {key: node.to_argo() for key, node in life.run.nodes.items()}
        life.run = restore(
            life.manifest, saved, name=life.name, uid="u", created=old.plan.created, templates=life.catalog,
            started_at=old.started_at, outputs=life.decision.outputs, artifacts=life.decision.artifacts,
            strategy=old.strategy, suspended=old.suspended,
            edges={key: list(children) for key, children in old.children.items()},
        )  # fmt: skip
        for task in unfinished(life.run):
            if (said := life.reported.get(task.node_id)) is not None and task.node_id not in life.tasks:
                life.tasks[task.node_id] = task
                life.retold.add(task.node_id)
                self.tell(life.name, said)


def _is_repeated(life: Life, one: Happening) -> bool:
    """It comes again in every life: a crash after it would be one without end."""
    if isinstance(one, LockNews):
        twice = f"lock of {one.holder}" in life.retold
        life.retold.add(f"lock of {one.holder}")
        return twice or not one.granted
    return isinstance(one, TaskResult) and one.node_id in life.retold


# --- what is asked, and what came of it ------------------------------------------------------------------------------


def news_of(request: Mapping[str, Any]) -> Happening:
    """`do: stop|terminate|suspend|resume|set` with what it takes."""
    selector, message = request.get("selector", ""), request.get("message", "")
    match request["do"]:
        case "stop":
            return Stop("Stop", message, selector)
        case "terminate":
            return Stop("Terminate")
        case "suspend":
            return Suspend()
        case "resume":
            return Resume(selector, message, request.get("by", ""))
        case "set":
            phase = Phase(request["phase"]) if "phase" in request else None
            outputs = {name: str(value) for name, value in request.get("outputs", {}).items()}
            return SetNodes(selector, phase, message, Outputs(outputs))
        case other:
            raise AssertionError(f"no request is called {other}")


def with_parameters(manifest: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """As `-p name=value` gives them."""
    given = {"parameters": [{"name": name, "value": value} for name, value in values.items()]}
    spec = manifest["spec"]
    arguments = merged_arguments(spec.get("arguments") or {}, given) if values else spec.get("arguments") or {}
    return {**manifest, "spec": {**spec, "arguments": arguments}}


def begun(
    short: Mapping[str, Any], name: str, catalog: Sequence[Mapping[str, Any]], answers: Mapping[str, Any],
    at_s: float = 0, parameters: Mapping[str, str] | None = None,
) -> Life:  # fmt: skip
    """A run of a short manifest that is to begin at a moment."""
    manifest = with_parameters(manifest_of(short, name), parameters or {})
    known = Catalog.of([document_of(one) for one in catalog])
    run = begin(manifest, name=name, uid="u", created=T0 + timedelta(seconds=at_s), templates=known)
    return Life(run, Answers(answers), manifest, known, at_s)


def again(play: Play, life: Life, how: Mapping[str, Any], answers: Mapping[str, Any]) -> Life:
    """The next life of a run that is over: `do: retry|resubmit`, as `pipelines.host.control` does it."""
    parameters = {name: str(value) for name, value in how.get("parameters", {}).items()}
    manifest = with_parameters(life.manifest, parameters)
    nodes, edges, name, now = life.run.nodes, life.run.children, life.name, play.clock.now()
    if how["do"] == "resubmit":
        name = how.get("name", "w2")
        saved = resubmitted(nodes, edges, life.name, name, reexpand=bool(parameters)) if how.get("memoized") else None
    else:
        choose = compile_selector(how["restart"]) if how.get("restart") else nothing
        saved = kept_after_reset(nodes, edges, name, choose, reexpand=bool(parameters))
    if saved is None:
        run = begin(manifest, name=name, uid="u", created=now, templates=life.catalog)
    else:
        run = restore(manifest, saved.to_argo(), name=name, uid="u", created=life.run.plan.created,
                      templates=life.catalog, started_at=now)  # fmt: skip
    return Life(run, Answers(answers), manifest, life.catalog, 0)


def facts_of(life: Life, node: Node) -> dict[str, Any]:
    """A node in the words of a scenario; other nodes by their names."""
    nodes = life.run.nodes
    body = node.to_argo()
    name = {key: one.name for key, one in nodes.items()}
    return {
        "type": node.type, "phase": str(node.phase), "message": named(life, node.message), "display": node.display_name,
        "template": node.template_name, "boundary": name.get(node.boundary_id, ""),
        "children": sorted(name[child] for child in life.run.children.get(node.id, ())),
        "outbound": sorted(name[one] for one in node.outbound_nodes),
        "inputs": dict(node.inputs.parameters), "artifacts in": _places(node.inputs.artifacts),
        "outputs": dict(node.outputs.parameters), "artifacts": _places(node.outputs.artifacts),
        "result": node.outputs.result, "exit": node.outputs.exit_code, "flags": sorted(body.get("nodeFlag", {})),
        "hit": (node.memoized or {}).get("hit"), "key": (node.memoized or {}).get("key"),
        "waits": (node.locks or {}).get("waiting"), "ip": node.pod_ip, "progress": node.progress,
        "span": [_s(node.started_at), _s(node.finished_at)],
    }  # fmt: skip


def _s(time: datetime | None) -> float | None:
    return None if time is None else (time - T0).total_seconds()


def _places(artifacts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {one["name"]: (one.get("s3") or {}).get("key") or (one.get("raw") or {}).get("data") for one in artifacts}


def named(life: Life, text: str) -> str:
    """Ids of nodes as `<name>`."""
    names = {node.id: node.name for node in life.run.nodes.values() if node.id != node.name}
    return re.sub(re.escape(life.name) + r"-\d+", lambda m: f"<{names[m[0]]}>" if m[0] in names else m[0], text)
