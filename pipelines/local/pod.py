"""One pod from its inputs to its result: init containers, then the main ones with their sidecars, then the outputs.

Everything may be repeated after a crash: containers that ended are read and not run again, those that run are found
again. If the leader of one dies with no word (the machine went down), the pod begins anew; a containerSet only with the
container that was lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import anyio

from pipelines.artifacts.port import ArtifactMissing, Artifacts
from pipelines.core.happenings import Happening, Started, TaskResult
from pipelines.core.nodes import Phase
from pipelines.local import collect, process
from pipelines.local.collect import Left
from pipelines.local.contained import EMISSARY_FAILED, KILLED_ON_PURPOSE, Ended, Living, plain
from pipelines.local.containerset import see_set
from pipelines.local.daemon import probe_of, tell_ready
from pipelines.local.isolation import Rung
from pipelines.local.life import Halted, Lost, Machine
from pipelines.local.podplan import Contained, PodPlan, Situation
from pipelines.local.process import Ending, began_at
from pipelines.local.shapes import Container
from pipelines.local.sign import Sign
from pipelines.local.workspace import Workspace
from retrain.errors import ConfigError, RetrainError
from retrain.log import get_logger

Report = Callable[[Happening], None]
"""Where a step's news go. Called on the event loop; must not block."""

MAX_LOST = 3
"""How often a step may be lost before it is an Error: it may be what takes the machine down."""
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"
log = get_logger()

STOPPED = "stopped while it ran"
STOPPED_BEFORE = "stopped before it started"


@dataclass(slots=True)
class Pod:
    """The pod of one task in hand. `stop` asks for its end."""

    machine: Machine
    plan: PodPlan
    devices: Mapping[str, tuple[str, ...]]
    artifacts: Artifacts | None
    report: Report
    started_at: datetime | None = None
    overdue: bool = False
    stopped: Sign = field(default_factory=Sign)
    living: dict[str, Living] = field(default_factory=dict)

    def stop(self) -> None:
        """Ask all its containers to end; those that have not begun do not begin."""
        self.stopped.set()
        for one in self.living.values():
            one.life.stop()

    async def run(self) -> TaskResult:
        """See it to its end. What goes wrong is in the result.

        A cancellation ends its containers or lets them run on, as the machine says.
        """
        try:
            if self.plan.task.deadline_s is None:
                return await self._in_the_end()
            results: list[TaskResult] = []
            async with anyio.create_task_group() as group:
                group.start_soon(self._watch_deadline, self.plan.task.deadline_s)
                results.append(await self._in_the_end())
                group.cancel_scope.cancel()
            return results[0]
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):
                await self.machine.thread(self._undo)
            raise

    async def _watch_deadline(self, seconds: float) -> None:
        begun = await self.machine.thread(self._begun)
        gone = (self.machine.clock.now() - begun).total_seconds() if begun else 0.0
        await anyio.sleep(max(0.0, seconds - gone))
        if not self.stopped.is_set():
            self.overdue = True
            self.stop()

    def _begun(self) -> datetime | None:
        """When the pod began, if that was an earlier platform's doing."""
        homes = [self.plan.workspace_of(one).home for one in (*self.plan.init, *self.plan.mains)]
        return min((at for home in homes if (at := began_at(home))), default=None)

    async def _in_the_end(self) -> TaskResult:
        while True:
            try:
                return await self._once()
            except Halted:
                return self._bare(Phase.Failed, STOPPED_BEFORE)
            except Lost:
                if self.stopped.is_set():
                    return self._bare(Phase.Failed, STOPPED)
            except (ConfigError, OSError, ValueError) as error:
                return self._bare(Phase.Error, plain(error))
            try:
                self.living.clear()
                await self.machine.thread(partial(self.lose, self.plan.workspace))
            except (ConfigError, OSError) as error:
                return self._bare(Phase.Error, plain(error))

    async def _once(self) -> TaskResult:
        """The pod from its start to its result.

        Raises:
            Lost, Halted: as containers do.
        """
        if self.stopped.is_set():
            raise Halted
        if self.artifacts is None and (self.plan.inputs or self.plan.outputs):
            raise ConfigError(
                f"template {self.plan.template.get('name')!r} has artifacts, and there is no place for any"
            )
        if self.plan.inputs and (problem := await self.machine.transfer(self._bring_in)):
            return self._bare(Phase.Error, f"init: Error (exit code {EMISSARY_FAILED}): {problem}")
        for container in self.plan.init:
            ended = await self.see(container)
            if not ended.well:
                return await self._result(ended, [ended])
        if self.plan.is_set:
            ends = await see_set(self)
            return await self._result(ends.get("main"), list(ends.values()))
        if self.plan.sidecars or self.plan.template.get("daemon"):
            return await self._with_company()
        ended = await self.see(self.plan.mains[0])
        return await self._result(ended, [ended])

    async def _with_company(self) -> TaskResult:
        """The main container with its sidecars, and who waits for a daemon to be ready."""
        main, ends = self.plan.mains[0], dict[str, Ended]()
        daemon = bool(self.plan.template.get("daemon"))
        probe = await self.machine.thread(partial(probe_of, self, self.live(main))) if daemon else None

        async def see(container: Container) -> None:
            ends[str(container["name"])] = await self.see(container)

        beside = [self.live(one) for one in self.plan.sidecars]
        async with anyio.create_task_group() as group:
            for one in self.plan.sidecars:
                group.start_soon(see, one)
            probing = anyio.CancelScope()
            if daemon:
                group.start_soon(tell_ready, self, self.live(main), probe, probing)
            await see(main)
            probing.cancel()
            for one in beside:
                one.life.stop()
        return await self._result(ends["main"], list(ends.values()))

    # --- containers ---------------------------------------------------------------------------------------------------

    def live(self, container: Container) -> Living:
        """The container in hand, which is begun by `see`."""
        name = str(container.get("name") or "")
        if name not in self.living:
            contained = Contained(self.plan, container)
            situation = Situation(self.machine.clock.now(), self.devices)
            self.living[name] = Living(self.machine, contained, situation, self.plan.run.capture and name == "main")
            if self.stopped.is_set():
                self.living[name].life.stop()
        return self.living[name]

    async def see(self, container: Container, started: Callable[[datetime], None] | None = None) -> Ended:
        """A container to its end."""
        living = self.live(container)

        def tell(at: datetime) -> None:
            self._tell_started(at)
            if started is not None:
                started(at)

        return await living.see(tell, partial(self._after, living.contained))

    def _tell_started(self, at: datetime) -> None:
        if self.started_at is None:
            self.started_at = at
            self.report(Started(self.plan.task.node_id, at))

    def _after(self, contained: Contained, _ending: Ending) -> Left:
        """What a container has left. On the thread that saw its end."""
        left = Left()
        if contained.is_main and contained.name == "main":
            if self.living["main"].life.found:
                # What left the group of a leader that died cannot be told from another's but by its mark.
                process.sweep(process.MARKER, [contained.mark])
            collect.parameters_of(contained, left)
            left.result = collect.result_of(contained.workspace) if self.plan.run.capture else None
        return left

    def lose(self, workspace: Workspace) -> None:
        """Clear away an attempt whose leader died without a word, and what processes it left.

        Raises:
            ConfigError: this has happened too often.
        """
        marks = [Contained(self.plan, one).mark for one in (*self.plan.init, *self.plan.mains, *self.plan.sidecars)]
        said = _tail(workspace)
        process.sweep(process.MARKER, marks)
        lost = workspace.set_aside("lost")
        log.warning("step.lost", run_id=self.plan.run.run_id, node_id=self.plan.task.node_id, times=lost)
        if lost >= MAX_LOST:
            raise ConfigError(f"the step's process was lost {lost} times; the log of the last: {said}")

    def _undo(self) -> None:
        """After a cancellation: a container that was cut off in the middle is to run again from its start."""
        cut = [one.contained for one in self.living.values() if one.life.cut]
        if self.plan.around.rung is Rung.container:
            for one in cut:
                one.view.close()  # the engine's client is gone, and its container would live on
        if self.plan.is_set:
            for one in cut:
                one.workspace.set_aside("interrupted")
        elif any(one.is_main or one.container in self.plan.init for one in cut):
            self.plan.workspace.set_aside("interrupted")

    # --- what goes in and comes out -----------------------------------------------------------------------------------

    def _bring_in(self) -> str:
        """Load the input artifacts, unless the pod has begun; what is wrong, or nothing."""
        plan, artifacts = self.plan, self.artifacts
        assert artifacts is not None
        if self._begun() is not None:
            return ""
        run, first = collect.artifact_run(plan), Contained(plan, plan.mains[0])
        plan.workspace.create()
        first.view.prepare()
        for index, artifact in enumerate(plan.inputs):
            path = str(artifact["path"])
            shared = plan.inputs_are_shared and not first.on_volume(path)
            try:
                artifacts.load(artifact, plan.shared_input(index) if shared else first.view.locate(path), run)
            except ArtifactMissing as error:
                if not artifact.get("optional"):
                    return f"artifact {artifact.get('name')} failed to load: {error}"
            except RetrainError as error:
                return collect.about_artifact(artifact, "load", error)
            except OSError as error:
                return f"artifact {artifact.get('name')} failed to load: {error.strerror or error}"
        return ""

    async def _result(self, main: Ended | None, ends: list[Ended]) -> TaskResult:
        """The result of a pod of which all containers have ended; `main` has its outputs."""
        if any(one.how == "lost" and self._counts(one) for one in ends):
            raise Lost
        if all(one.how == "halted" for one in ends if self._counts(one)):
            raise Halted
        left = main.left if main else Left()
        if main is not None and main.how == "exited" and main.ending and main.name == "main":
            await self._keep(left)
        if self.plan.around.rung is Rung.container:
            await self.machine.thread(self._close_views)
        phase, message = self._judge(ends, left)
        code = main.code if main and main.how == "exited" and main.name == "main" else None
        if self.plan.template.get("daemon") and self.stopped.is_set() and not self.overdue:
            phase, message, code = Phase.Succeeded, "", None
        left.parameters = left.parameters or collect.no_parameters(self.plan)
        return self._measured(phase, message, [one.ending for one in ends if one.ending], left, code)

    def _measured(
        self, phase: Phase, message: str, endings: list[Ending], left: Left, code: int | None = None
    ) -> TaskResult:
        """A result with its times and what was used; the peak of memory is that of the largest container."""
        now = self.machine.clock.now()
        usage: dict[str, float] = {}
        if endings:
            usage = {"cpu": sum(one.cpu_s for one in endings), "memory": max(one.peak_bytes for one in endings)}
        return TaskResult(
            self.plan.task.node_id,
            phase,
            message=message,
            exit_code=code,
            result=left.result,
            parameters=left.parameters,
            artifacts=tuple(left.artifacts),
            started_at=min((one.started for one in endings), default=self.started_at or now),
            finished_at=max((one.finished for one in endings), default=now),
            usage=usage,
        )

    def _close_views(self) -> None:
        for one in self.living.values():
            one.contained.view.close()

    async def _keep(self, left: Left) -> None:
        """Save artifacts and log, where there are any to save."""
        if self.artifacts is None:
            return
        main = self.living["main"].contained
        if self.plan.outputs:
            await self.machine.transfer(partial(collect.artifacts_of, main, self.artifacts, left))
        if self.plan.archives_logs:
            await self.machine.transfer(partial(collect.log_of, main, self.artifacts, left))

    def _counts(self, ended: Ended) -> bool:
        """Whether a container's end is the pod's: a sidecar's that was told to end is not."""
        return all(ended.name != one.get("name") for one in self.plan.sidecars)

    def _judge(self, ends: list[Ended], left: Left) -> tuple[Phase, str]:
        """Phase and message, as Argo infers them: main containers first, then what was to be saved, then sidecars."""
        if self.overdue:
            return Phase.Failed, DEADLINE_MESSAGE
        main = sorted((one for one in ends if self._counts(one)), key=lambda one: one.name)
        for one in main:
            if one.how == "broken":
                return Phase.Error, one.said
            if not one.well:
                return Phase.Failed, one.message
        if self.stopped.is_set():
            # It caught SIGTERM and ended well: it is still a step that was not allowed to finish.
            return Phase.Failed, STOPPED
        if left.problem:
            return Phase.Error, f"wait: Error (exit code {EMISSARY_FAILED}): {left.problem}"
        for one in ends:
            if not self._counts(one) and one.how == "broken":
                return Phase.Error, one.said
            if not self._counts(one) and one.how == "exited" and one.code and one.code not in KILLED_ON_PURPOSE:
                return Phase.Failed, one.message
        return Phase.Succeeded, ""

    def _bare(self, phase: Phase, message: str) -> TaskResult:
        """A result without outputs."""
        message = DEADLINE_MESSAGE if self.overdue else message
        phase = Phase.Failed if self.overdue else phase
        return self._measured(phase, message, [], Left(collect.no_parameters(self.plan)))


def _tail(workspace: Workspace) -> str:
    from pipelines.local.logs import read_tail

    return read_tail(workspace.main_log, 5).strip()[-500:] or "it left no log"
