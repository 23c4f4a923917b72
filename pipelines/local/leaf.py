"""From a filled-in template to the process to start: argument list, environment, working directory, private paths.

What a template may ask of Kubernetes and a local process cannot give is refused by name; the image is not looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from pipelines.core.happenings import Task
from pipelines.local.process import MARKER, RUN_MARKER, Command, namespace_prefix
from pipelines.local.workspace import View, Workspace, view
from retrain.errors import ConfigError

PASSED = frozenset({"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TZ", "USER", "CUDA_VISIBLE_DEVICES"})
"""Variables of the platform that a step gets too, besides those that begin with `LC_`. All others are kept from it:
the platform's environment holds its secrets."""

References = Mapping[tuple[str, str], Mapping[str, str]]
"""What `secretKeyRef` and `configMapKeyRef` may name: ("Secret" | "ConfigMap", name) -> its keys and values."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


class NotInPath(ConfigError):
    """The program of a step is not there. Argo's executor ends with 64 then."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """The run that a step belongs to. `home` is the directory of the run's steps."""

    run_id: str
    name: str
    uid: str
    home: Path
    capture: bool = True
    """Whether some template asks for an `outputs.result`: only then is stdout kept apart."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all steps of a platform share. `env` is what is passed on of the platform's own environment."""

    project: Path
    data: Path
    env: Mapping[str, str]
    references: References


def passed_on(environ: Mapping[str, str]) -> dict[str, str]:
    """The part of the platform's environment that steps get, with this interpreter's programs first on PATH.

    So `python step.py` finds the packages that the platform was installed beside.
    """
    env = {name: value for name, value in environ.items() if name in PASSED or name.startswith("LC_")}
    own = os.fspath(Path(sys.executable).parent)
    env["PATH"] = f"{own}:{environ.get('PATH', _DEFAULT_PATH)}"
    return env


def run_mark(run: StepRun) -> str:
    """What `RETRAIN_RUN_MARK` is for this run's steps. Of the directory and not of the id: a copy of the platform on
    the same machine may have a run with the same id, and must not find its processes killed."""
    return sha256(os.fsencode(run.home)).hexdigest()[:20]


def node_mark(run: StepRun, node_id: str) -> str:
    """What `RETRAIN_NODE` is for this step: no other process of the machine has it."""
    return f"{run_mark(run)}/{node_id}"


def prepare(task: Task, run: StepRun, workspace: Workspace, around: Surroundings) -> tuple[Command, View]:
    """Make the step's directory ready and say what to start in it. May be repeated.

    Raises:
        ConfigError: the template asks for something that a local process cannot have.
        NotInPath: its program is not on this machine.
    """
    kind, body = _body(task.template)
    _refuse(task.template, body)
    declared = [_path(parameter) for parameter in output_parameters(task.template) if _path(parameter)]
    seen = view(workspace, declared, body.get("workingDir"), around.project)
    if seen.roots and not namespace_prefix():
        raise ConfigError(
            f"output path {declared[0]!r} needs a mount namespace, which this machine does not allow (`unshare -Urm`); "
            "use a relative path: it is private to the step"
        )
    workspace.create()
    env = _environment(body, task, run, seen, around)
    argv = [str(word) for word in (*_words(body, "command"), *_words(body, "args"))]
    if kind == "script":
        workspace.write_script(str(body.get("source", "")))
        argv.append(os.fspath(workspace.script))
    argv[0] = _program(argv[0], env["PATH"], seen.cwd)
    keep = (around.project, around.data, run.home, Path(sys.prefix), Path(sys.base_prefix), seen.cwd)
    mounts = seen.mounts(path.absolute() for path in keep)
    return Command(tuple(argv), env, seen.cwd, run.capture, mounts), seen


def output_parameters(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The declared output parameters."""
    return list((template.get("outputs") or {}).get("parameters") or ())


def _path(parameter: Mapping[str, Any]) -> str:
    return str((parameter.get("valueFrom") or {}).get("path") or "")


def _body(template: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    for kind in ("container", "script"):
        if template.get(kind):
            return kind, template[kind]
    raise ConfigError(f"template {template.get('name')!r} has neither container nor script")


def _refuse(template: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    name = template.get("name")
    if not _words(body, "command"):
        raise ConfigError(
            f"template {name!r} has no command; the entrypoint of image {body.get('image')!r} is not known locally: "
            "write the command out"
        )
    for side in ("inputs", "outputs"):
        if (template.get(side) or {}).get("artifacts"):
            raise ConfigError(f"template {name!r}: {side}.artifacts are not built for local steps yet")
    for field in ("volumeMounts", "volumeDevices"):
        if body.get(field):
            raise ConfigError(f"template {name!r}: {field} are not built for local steps yet")
    for field in ("sidecars", "initContainers", "daemon"):
        if template.get(field):
            raise ConfigError(f"template {name!r}: {field} is not built for local steps yet")


def _words(body: Mapping[str, Any], field: str) -> list[Any]:
    return list(body.get(field) or ())


def _program(name: str, path: str, cwd: Path) -> str:
    if "/" in name:
        found = shutil.which(os.fspath(cwd / name))
        if found is None:
            raise NotInPath(f'failed to find name in PATH: exec: "{name}": no such file or directory')
        return found
    found = shutil.which(name, path=path)
    if found is None:
        raise NotInPath(f'failed to find name in PATH: exec: "{name}": executable file not found in $PATH')
    return os.path.abspath(found)  # noqa: PTH100  # a virtual environment's python must stay a symbolic link


def _environment(body: Mapping[str, Any], task: Task, run: StepRun, seen: View, around: Surroundings) -> dict[str, str]:
    workspace = seen.workspace
    env = {
        **around.env,
        "TMPDIR": os.fspath(workspace.tmp),
        # A log that is seen while the step runs is worth more than the few writes it costs.
        "PYTHONUNBUFFERED": "1",
        "RETRAIN_PROJECT": os.fspath(around.project),
        "RETRAIN_OUTPUTS": os.fspath(workspace.work),
        "RETRAIN_RUN_ID": run.run_id,
        "ARGO_CONTAINER_NAME": "main",
        "ARGO_NODE_ID": task.node_id,
        "ARGO_WORKFLOW_NAME": run.name,
        "ARGO_WORKFLOW_UID": run.uid,
        "ARGO_POD_NAME": task.pod_name,
    }
    for source in body.get("envFrom") or ():
        env.update(_all_of(source, around.references))
    env.update(_declared(body.get("env") or (), around.references))
    # Last, so that a template cannot take them away: they are how what is left over is found.
    env[RUN_MARKER], env[MARKER] = run_mark(run), node_mark(run, task.node_id)
    return env


def _declared(entries: Iterable[Mapping[str, Any]], references: References) -> dict[str, str]:
    env: dict[str, str] = {}
    for entry in entries:
        name = str(entry.get("name", ""))
        if not _NAME.fullmatch(name):
            raise ConfigError(f"env {name!r}: a local step's variables have names of letters, digits and _")
        value = entry.get("value")
        if entry.get("valueFrom"):
            value = _referenced(name, entry["valueFrom"], references)
            if value is None:
                continue
        env[name] = "" if value is None else str(value)
    return env


def _referenced(name: str, source: Mapping[str, Any], references: References) -> str | None:
    for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if ref := source.get(field):
            keys = references.get((kind, ref.get("name", "")))
            if keys is not None and ref.get("key") in keys:
                return keys[ref["key"]]
            if ref.get("optional"):
                return None
            raise ConfigError(f"env {name}: the project has no {kind} {ref.get('name')!r} with key {ref.get('key')!r}")
    raise ConfigError(f"env {name}: valueFrom.{'/'.join(sorted(source))} is not built for local steps")


def _all_of(source: Mapping[str, Any], references: References) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    for field, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
        if ref := source.get(field):
            keys = references.get((kind, ref.get("name", "")))
            if keys is None and not ref.get("optional"):
                raise ConfigError(f"envFrom: the project has no {kind} {ref.get('name')!r}")
            return _declared(
                [{"name": prefix + key, "value": value} for key, value in (keys or {}).items()], references
            )
    raise ConfigError(f"envFrom: {'/'.join(sorted(source))} is not built for local steps")
