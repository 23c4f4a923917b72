"""A pod as it is to be on this machine: its containers, each with a directory, a view of the disk and a command.

Nothing runs here. What is made on disk may be made twice, and a container that has begun already is not prepared anew.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.checks.unsupported import CONTAINER
from pipelines.core.happenings import Task
from pipelines.core.nodes import Artifact, to_rfc3339
from pipelines.local import images
from pipelines.local.demand import container_demand
from pipelines.local.environment import PodFacts, declared, expand
from pipelines.local.images import Image
from pipelines.local.isolation import Rung, best_rung
from pipelines.local.leaf import MAIN, StepRun, Surroundings, container_mark, run_mark
from pipelines.local.machine import GPU
from pipelines.local.mounts import Mount
from pipelines.local.process import MARKER, RUN_MARKER, Command
from pipelines.local.programs import SHIMS, in_terminal, install_shims
from pipelines.local.shapes import Container, init_containers, main_containers, sidecars
from pipelines.local.view import HostView, View, Wants, open_view
from pipelines.local.volumes import Places, Volumes
from pipelines.local.workspace import Workspace, claims_directory, container_workspace
from retrain.errors import ConfigError
from retrain.telemetry.ids import Parent, step_span

STAGED_SCRIPT = "/argo/staging/script"
"""Where a script's source lies, for who writes it out."""
_ROOTED = re.compile(rf"(?<![\w./-])/({'|'.join(SHIMS)})[ \t]")
"""A call of a program that lies in `/` of its image, within a text. As a word of its own `_program` finds it."""


class NotInPath(ConfigError):
    """The program of a container is not there. Argo's executor ends with 64 then."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a pod is started with, beside its task: when, and with which devices."""

    now: datetime
    devices: Mapping[str, tuple[str, ...]]


class PodPlan:
    """The pod of one task. On a thread: most of it asks the disk."""

    def __init__(self, task: Task, run: StepRun, workspace: Workspace, around: Surroundings) -> None:
        self.task, self.run, self.workspace, self.around = task, run, workspace, around
        self.template = task.template
        self.init, self.sidecars = init_containers(self.template), sidecars(self.template)
        self.mains = main_containers(self.template)
        self.is_set = bool(self.template.get("containerSet"))
        if not self.mains:
            raise ConfigError(f"template {self.template.get('name')!r} has no container, script or containerSet")
        for one in (*self.mains, *self.sidecars, *self.init):
            _refuse(one)

    @property
    def is_plain(self) -> bool:
        """One container and nothing beside it."""
        return not (self.is_set or self.init or self.sidecars)

    @cached_property
    def facts(self) -> PodFacts:
        metadata: Mapping[str, Any] = self.template.get("metadata") or {}
        shared: Mapping[str, Any] = self.run.spec.get("podMetadata") or {}
        labels = {
            "workflows.argoproj.io/completed": "false",
            "workflows.argoproj.io/workflow": self.run.name,
            **(shared.get("labels") or {}),
            **(metadata.get("labels") or {}),
        }
        annotations = {
            "workflows.argoproj.io/node-id": self.task.node_id,
            "workflows.argoproj.io/node-name": self.task.node_name,
            **(shared.get("annotations") or {}),
            **(metadata.get("annotations") or {}),
        }
        account = str(self.template.get("serviceAccountName") or self.run.service_account)
        containers = (*self.mains, *self.sidecars, *self.init)
        uid = f"{self.run.uid}-{self.task.node_id}"
        return PodFacts(self.task.pod_name, self.run.namespace, uid, account, labels, annotations, containers)

    @cached_property
    def volumes(self) -> Volumes:
        around = self.around
        places = Places(
            self.workspace.home / "volumes",
            claims_directory(around.data, self.run.run_id),
            around.volumes,
            around.project,
        )
        return Volumes.of(self.task, self.run.spec, places, self.facts, around.references)

    @cached_property
    def inputs(self) -> list[Artifact]:
        """The input artifacts that lie somewhere; an optional one whose maker was skipped does not."""
        known = {"name", "path", "mode", "recurseMode", "optional", "archive", "subPath", "globalName", "from"}
        return [one for one in self.task.inputs.artifacts if one.get("path") and any(k not in known for k in one)]

    @cached_property
    def outputs(self) -> list[Artifact]:
        """The declared output artifacts that have a path."""
        return [one for one in (self.template.get("outputs") or {}).get("artifacts") or () if one.get("path")]

    @cached_property
    def output_parameters(self) -> list[Mapping[str, Any]]:
        """The declared output parameters."""
        return list((self.template.get("outputs") or {}).get("parameters") or ())

    @property
    def archives_logs(self) -> bool:
        """Whether the log is to be kept as an artifact: the template says, else the workflow, else the platform."""
        says = (self.template.get("archiveLocation") or {}).get("archiveLogs")
        if says is None:
            says = self.run.spec.get("archiveLogs")
        return self.around.archive_logs if says is None else bool(says)

    def workspace_of(self, container: Container) -> Workspace:
        """The directory of a container: the pod's own for `main`, but in a containerSet each has its own."""
        name = str(container.get("name") or "")
        return self.workspace if name == MAIN and not self.is_set else container_workspace(self.workspace, name)

    @property
    def main(self) -> Container | None:
        """The container whose outputs are the pod's; a containerSet may have none."""
        return next((one for one in self.mains if one.get("name") == MAIN), None)

    def shares_inputs(self, container: Container) -> bool:
        """Whether a container sees the pod's input artifacts."""
        return any(container is one for one in self.mains) or bool(container.get("mirrorVolumeMounts"))

    @cached_property
    def inputs_are_shared(self) -> bool:
        """Whether more than one container sees the input artifacts, so that they lie beside the containers."""
        return sum(self.shares_inputs(one) for one in (*self.mains, *self.sidecars, *self.init)) > 1

    def shared_input(self, index: int) -> Path:
        return self.workspace.home / "inputs" / str(index)


class Contained:
    """One container of a pod. On a thread."""

    def __init__(self, pod: PodPlan, container: Container) -> None:
        self.pod, self.container = pod, container
        self.name = str(container.get("name") or "")
        self.workspace = pod.workspace_of(container)
        self.mark = container_mark(pod.run, pod.task.node_id, self.name)

    @property
    def is_main(self) -> bool:
        return any(self.container is one for one in self.pod.mains)

    @property
    def has_source(self) -> bool:
        """Whether it runs a script; a script template without a source is a plain container."""
        return bool(self.is_main and self.pod.template.get("script") and self.container.get("source"))

    @cached_property
    def declared(self) -> dict[str, str]:
        """The variables that the template declares."""
        return declared(self.container, self.pod.facts, self.pod.around.references)

    @cached_property
    def volume_mounts(self) -> tuple[Mount, ...]:
        container = self.container
        if self.mounts_nothing:
            return ()
        shared: Sequence[Mapping[str, Any]] = (self.pod.template.get("containerSet") or {}).get("volumeMounts") or ()
        if shared and self.is_main:
            container = {**container, "volumeMounts": [*shared, *(container.get("volumeMounts") or ())]}
        # The variables matter for subPathExpr alone, and cost something.
        env = self.declared if "subPathExpr" in str(container.get("volumeMounts")) else {}
        return self.pod.volumes.mounts(container, self.pod.main, env)

    @property
    def mounts_nothing(self) -> bool:
        """Whether there is no volume that it asks for."""
        one = self.container
        return not (self.pod.is_set or one.get("volumeMounts") or one.get("mirrorVolumeMounts"))

    @cached_property
    def is_quick(self) -> bool:
        """Whether `command` is a few looks at the disk: no volume, no reference, and nothing to be made before."""
        one = self.container
        if self.pod.inputs or not self.mounts_nothing or one.get("envFrom") or one.get("tty"):
            return False
        if self.pod.around.rung is Rung.container or any(entry.get("valueFrom") for entry in one.get("env") or ()):
            return False
        try:
            # Looked at first: to find out which private root there can be takes longer than to run a small step.
            rooted = self._mounts or any(path.startswith("/") for path in (*self._paths(), one.get("workingDir") or ""))
            return not rooted and isinstance(self.view, HostView)
        except (ConfigError, OSError):
            return False  # it is said where the command is asked for

    @property
    def leaves_nothing(self) -> bool:
        """Whether nobody asks for anything in its directory once it has ended."""
        pod = self.pod
        return pod.is_plain and not (pod.outputs or pod.output_parameters or pod.archives_logs or self.has_source)

    @cached_property
    def view(self) -> View:
        """How the container sees the disk."""
        around = self.pod.around
        wants = Wants(
            tuple(self._paths()),
            self._mounts,
            str(self.container.get("workingDir") or "") or None,
            self._exact_image(),
            self._user(),
            bool(self.container.get("command")),
        )
        rooted = wants.mounts or any(path.startswith("/") for path in (*wants.paths, wants.working_dir or ""))
        # Asked for only where it matters: to find out takes longer than to run a small step.
        rung = around.rung or (best_rung() if rooted else Rung.rewrite)
        kept = self._keep() if rooted else ()
        return open_view(rung, self.workspace.home, wants, around.project, kept)

    def _user(self) -> str | None:
        """Who runs in a container of the image, as `uid[:gid]`; elsewhere steps run as the platform does."""
        asked: Mapping[str, Any] = {
            **(self.pod.run.spec.get("securityContext") or {}),
            **(self.pod.template.get("securityContext") or {}),
            **(self.container.get("securityContext") or {}),
        }
        user, group = asked.get("runAsUser"), asked.get("runAsGroup")
        if user is None:
            return None
        return f"{int(user)}" if group is None else f"{int(user)}:{int(group)}"

    def on_volume(self, path: str) -> bool:
        """Whether a path lies in a volume that the container mounts."""
        return any(PurePosixPath(path).is_relative_to(one.target) for one in self.volume_mounts)

    def command(self, situation: Situation, capture: bool) -> Command:
        """Make the directory ready, and say what to start in it.

        Raises:
            ConfigError: the template asks for something that a local process cannot have.
            NotInPath: its program is not on this machine.
        """
        if not self.is_quick:
            # First of all: what a private root shows is what is there when it is thought out.
            self.workspace.create()
            self.view.prepare()
            if self.has_source:
                self.workspace.write_script(self.source)
        entry = self._image()
        command = self._assembled(self._argv(entry), situation, entry, capture)
        return replace(command, script=self.source.encode()) if self.is_quick and self.has_source else command

    @property
    def source(self) -> str:
        """The script as it is to be run."""
        return self.view.rewrite(str(self.container.get("source") or ""))

    def beside(self, situation: Situation, argv: tuple[str, ...]) -> Command:
        """Another command for the place where the container runs.

        Raises:
            ConfigError: as `command`; or a container engine runs it, which we do not ask for that.
        """
        if self._exact_image() is not None:
            raise ConfigError("a command in a running container is not built for container engines; use tcpSocket")
        return self._assembled(argv, situation, self._image(), False)

    def _assembled(self, argv: tuple[str, ...], situation: Situation, entry: Image, capture: bool) -> Command:
        env = self._environment(situation, entry)
        if self._exact_image() is None:
            argv = (self._program(argv[0], env["PATH"], entry), *argv[1:])
            if self.container.get("tty"):
                argv = in_terminal(argv, self.pod.around.shims)
        return self.view.command(argv, env, capture=capture)

    def _exact_image(self) -> str | None:
        return str(self.container.get("image") or "") if self.pod.around.rung is Rung.container else None

    def _image(self) -> Image:
        if self._exact_image() is not None:
            return Image("host")
        around, name = self.pod.around, str(self.container.get("image") or "")
        return around.images.choose(name, around.any_image)

    def _argv(self, entry: Image) -> tuple[str, ...]:
        container = self.container
        known = {**self._argo(), **self.declared} if any("$" in text for text in self._texts()) else {}
        command = [expand(str(word), known) for word in container.get("command") or ()]
        args = [expand(str(word), known) for word in container.get("args") or ()]
        if any("\0" in word for word in (*command, *args)):
            raise ConfigError("command: a word of it has a NUL character, which no program can be given")
        if self.has_source:
            shown = STAGED_SCRIPT if self._stages_script() else os.fspath(self.workspace.script)
            args.append(shown)
        if self._exact_image() is not None:
            return (*command, *args)
        return images.arguments(str(container.get("image") or ""), entry, command, args)

    def _stages_script(self) -> bool:
        """Whether the script must lie where it lies in a cluster: somebody names that place."""
        return self.has_source and (
            self._exact_image() is not None or any(STAGED_SCRIPT in text for text in self._texts())
        )

    def _texts(self) -> list[str]:
        """What the container says is to be run."""
        one = self.container
        return [str(text) for text in (*(one.get("command") or ()), *(one.get("args") or ()), one.get("source") or "")]

    def _paths(self) -> list[str]:
        """What the container declares to be its own; what lies on a volume is the volume's."""
        pod = self.pod
        paths = [str(one["path"]) for one in pod.inputs] if self.is_main and not pod.inputs_are_shared else []
        if self.is_main and self.name == MAIN:
            paths += [str(one["path"]) for one in pod.outputs]
            paths += [path for one in pod.output_parameters if (path := output_path(one))]
        return [path for path in paths if not self.on_volume(path)]

    @cached_property
    def _mounts(self) -> tuple[Mount, ...]:
        pod, mounts = self.pod, list(self.volume_mounts)
        if pod.inputs_are_shared and pod.shares_inputs(self.container):
            mounts += [
                Mount(pod.shared_input(index), str(one["path"]))
                for index, one in enumerate(pod.inputs)
                if not self.on_volume(str(one["path"]))
            ]
        if self._stages_script():
            mounts.append(Mount(self.workspace.script, STAGED_SCRIPT, readonly=True))
        return (*mounts, *self._rooted_shims())

    def _rooted_shims(self) -> Iterator[Mount]:
        """Programs that lie in `/` of their image, where a text calls them by that name (`/argosay echo`)."""
        entry = self._image()
        called = set(_ROOTED.findall("\n".join(self._texts()))) if entry.kind == "shim" else set[str]()
        if called:
            install_shims(self.pod.around.shims)
        for name in sorted(called):
            yield Mount(self.pod.around.shims / name, f"/{name}", readonly=True)

    def _keep(self) -> tuple[Path, ...]:
        around = self.pod.around
        found = around.images.find(str(self.container.get("image") or ""))
        more = (found.venv,) if found is not None and found.venv is not None else ()
        paths = (around.project, around.data, self.pod.run.home, Path(sys.prefix), Path(sys.base_prefix), *more)
        return (*(path.absolute() for path in paths), *self._modules())

    def _modules(self) -> Iterator[Path]:
        """Where Python modules lie that the container is told of, as the file of a workflow in Python is."""
        for one in self.declared.get("PYTHONPATH", "").split(":"):
            # Not all of /tmp: that is the step's own.
            if len((path := Path(one)).parts) > 2 and path.is_absolute() and path.is_dir():
                yield path

    def _environment(self, situation: Situation, entry: Image) -> dict[str, str]:
        pod, around = self.pod, self.pod.around
        env = {} if self._exact_image() is not None else dict(around.env)
        if self._exact_image() is None:
            before = [os.fspath(one) for one in entry.folders(around.shims)]
            env["PATH"] = ":".join(dict.fromkeys([*before, *env.get("PATH", "").split(":")]))
            env["TMPDIR"] = os.fspath(self.workspace.tmp)
            if entry.kind == "venv":
                env["VIRTUAL_ENV"] = os.fspath(entry.venv or "")
        env |= {
            # A log that is seen while the step runs is worth more than the few writes it costs.
            "PYTHONUNBUFFERED": "1",
            "RETRAIN_PROJECT": os.fspath(around.project),
            "RETRAIN_OUTPUTS": os.fspath(self.workspace.work),
            "RETRAIN_RUN_ID": pod.run.run_id,
            **self._argo(),
        }
        if pod.run.trace:
            mine = step_span(pod.run.run_id, pod.task.node_id, pod.run.retries)
            env["TRACEPARENT"] = Parent(pod.run.trace, mine, sampled=True).header()
        if (seconds := pod.task.deadline_s) is not None:
            env["ARGO_DEADLINE"] = to_rfc3339(situation.now + timedelta(seconds=seconds)) or ""
        env |= self._devices(situation) | self.declared
        # Last, so that a template cannot take them away: they are how what is left over is found.
        env[RUN_MARKER], env[MARKER] = run_mark(pod.run), self.mark
        return env

    def _argo(self) -> dict[str, str]:
        pod = self.pod
        return {
            "ARGO_CONTAINER_NAME": self.name,
            "ARGO_INCLUDE_SCRIPT_OUTPUT": "true" if pod.run.capture else "false",
            "ARGO_NODE_ID": pod.task.node_id,
            "ARGO_POD_NAME": pod.task.pod_name,
            "ARGO_POD_UID": f"{pod.run.uid}-{pod.task.node_id}",
            "ARGO_PROGRESS_FILE": os.fspath(pod.workspace.progress),
            "ARGO_WORKFLOW_NAME": pod.run.name,
            "ARGO_WORKFLOW_UID": pod.run.uid,
        }

    def _devices(self, situation: Situation) -> dict[str, str]:
        """The container's part of the pod's GPUs. The containers of a pod take theirs one after the other."""
        if not situation.devices:
            return {}
        taken = 0
        for other in (*self.pod.mains, *self.pod.sidecars):
            mine = round(container_demand(other).get(GPU, 0.0))
            if other is self.container:
                return {"CUDA_VISIBLE_DEVICES": ",".join(situation.devices.get(GPU, ())[taken : taken + mine])}
            taken += mine
        return {"CUDA_VISIBLE_DEVICES": ",".join(situation.devices.get(GPU, ()))}

    def _program(self, name: str, path: str, entry: Image) -> str:
        if entry.kind == "shim" and (base := name.removeprefix("/")) in SHIMS:
            return os.fspath(self.pod.around.shims / base)
        found = self.view.which(name, path)
        if found is None:
            why = "no such file or directory" if "/" in name else "executable file not found in $PATH"
            raise NotInPath(f'failed to find name in PATH: exec: "{name}": {why}')
        return found


def _refuse(container: Container) -> None:
    """What would change how a container runs or ends, and is not done here.

    Raises:
        ConfigError: the container asks for it.
    """
    for field, reason in CONTAINER.items():
        if container.get(field) and (field != "restartPolicy" or container[field] == "Always"):
            raise ConfigError(f"container {container.get('name')!r}: {field} is not done by local steps: {reason}")


def output_path(parameter: Mapping[str, Any]) -> str:
    """The path that an output parameter is read from; empty if it comes from elsewhere."""
    return str((parameter.get("valueFrom") or {}).get("path") or "")
