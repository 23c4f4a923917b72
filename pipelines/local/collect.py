"""What an ended pod left behind: the tail of its stdout, the files and artifacts that it declared, its log to keep."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.artifacts.port import ArtifactRun, Artifacts
from pipelines.core.nodes import Artifact
from pipelines.local import logs
from pipelines.local.podplan import Contained, PodPlan, output_path
from pipelines.local.workspace import Workspace
from retrain.errors import ConfigError, RetrainError
from retrain.log import get_logger

log = get_logger()

PARAMETER_BYTES = 1024 * 1024
"""The largest output parameter: it is kept in the run's record and given to other steps as an argument."""
RESULT_BYTES = 256 * 1024

_LOCATIONS = ("s3", "gcs", "http", "git", "raw", "azure", "oss", "hdfs", "artifactory", "plugin")
_STAGED = "/var/run/argo/outputs"
_MOUNTED = "/mainctrfs"


@dataclass(slots=True)
class Left:
    """Outputs so far. `problem`: the first that is missing or cannot be kept, in the words of Argo's executor."""

    parameters: dict[str, str | None] = field(default_factory=dict)
    artifacts: list[Artifact] = field(default_factory=list)
    result: str | None = None
    problem: str = ""

    def fail(self, problem: str) -> None:
        self.problem = self.problem or problem


def result_of(workspace: Workspace) -> str | None:
    """`outputs.result`: the tail of stdout less one newline. Broken UTF-8 is replaced."""
    with suppress(FileNotFoundError), workspace.stdout_log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - RESULT_BYTES))
        return _trimmed(file.read(RESULT_BYTES))
    return None


def no_parameters(pod: PodPlan) -> dict[str, str | None]:
    """The declared output parameters without values: of a pod that came to none."""
    return {str(one["name"]): None for one in pod.output_parameters if output_path(one)}


def parameters_of(main: Contained, left: Left) -> None:
    """Read the declared output parameters; what is there is kept even if another one is missing."""
    for parameter in main.pod.output_parameters:
        path, name = output_path(parameter), str(parameter["name"])
        if not path:
            continue
        left.parameters[name] = None
        try:
            left.parameters[name] = _trimmed(_read(main.view.found(path), path, name))
        except FileNotFoundError:
            default = (parameter.get("valueFrom") or {}).get("default")
            if default is not None:
                left.parameters[name] = str(default)
            else:
                left.fail(_missing(main, path, "parameters", ""))
        except ConfigError as error:
            left.fail(str(error))
        except OSError as error:
            left.fail(f"output parameter {name!r}: {path} cannot be read: {error.strerror or error}")


def artifacts_of(main: Contained, artifacts: Artifacts, left: Left) -> None:
    """Save the declared output artifacts. Blocks for as long as that takes."""
    pod, run = main.pod, artifact_run(main.pod)
    for artifact in pod.outputs:
        path, name = str(artifact["path"]), artifact.get("name")
        try:
            found = main.view.found(path)
            if not os.path.lexists(found):
                if not artifact.get("optional"):
                    left.fail(_missing(main, path, "artifacts", ".tgz"))
                continue
            left.artifacts.append(artifacts.save(located(artifact, pod.template), found, run))
        except OSError as error:
            left.fail(f"artifact {name} failed to save: {error.strerror or error}")
        except RetrainError as error:
            left.fail(about_artifact(artifact, "save", error))


def about_artifact(artifact: Artifact, verb: str, error: RetrainError) -> str:
    """What went wrong with an artifact, with its name in front once: the artifacts' own errors have it."""
    said = str(error)
    return said if said.startswith("artifact ") else f"artifact {artifact.get('name')} failed to {verb}: {said}"


def log_of(contained: Contained, artifacts: Artifacts, left: Left) -> None:
    """Save the log of a container as the artifact `<container>-logs`. That it cannot be saved fails nobody."""
    pod, workspace = contained.pod, contained.workspace
    plain = workspace.home / "archive.log"
    try:
        with plain.open("w", encoding="utf-8") as file:
            file.writelines(logs.read_all(workspace.main_log))
        wanted = located(
            {"name": f"{contained.name}-logs", "path": f"{contained.name}.log", "archive": {"none": {}}}, pod.template
        )
        if not any(kind in wanted for kind in _LOCATIONS):
            key = f"{pod.run.name}/{pod.task.pod_name}/{contained.name}.log"
            wanted = {**wanted, "s3": {"key": key}}
        saved = artifacts.save(wanted, plain, artifact_run(pod))
        left.artifacts.append({key: value for key, value in saved.items() if key not in ("path", "archive")})
    except (OSError, RetrainError) as error:
        log.warning("step.log_not_archived", node_id=pod.task.node_id, reason=str(error))
    finally:
        plain.unlink(missing_ok=True)


def artifact_run(pod: PodPlan) -> ArtifactRun:
    """For whom the artifacts of a pod are loaded and saved."""
    run, reference = pod.run, pod.run.spec.get("artifactRepositoryRef")
    return ArtifactRun(run.run_id, run.name, run.namespace, pod.task.node_id, pod.task.pod_name, reference, run.uid)


def located(artifact: Artifact, template: Mapping[str, Any]) -> Artifact:
    """An output artifact with the location of the template's `archiveLocation`, if it has none of its own."""
    place: Mapping[str, Any] = template.get("archiveLocation") or {}
    kind = next((one for one in _LOCATIONS if place.get(one)), None)
    if kind is None or any(one in artifact for one in _LOCATIONS):
        return artifact
    location: Mapping[str, Any] = place[kind]
    if "key" not in location:
        return {**artifact, kind: location}
    return {**artifact, kind: {**location, "key": f"{str(location['key']).rstrip('/')}/{_file_name(artifact)}"}}


def _file_name(artifact: Artifact) -> str:
    archive: Mapping[str, Any] = artifact.get("archive") or {}
    if "none" in archive:
        return Path(str(artifact["path"])).name
    return f"{artifact.get('name')}.{'zip' if 'zip' in archive else 'tgz'}"


def _missing(main: Contained, path: str, what: str, suffix: str) -> str:
    """As the executor says it: it looks at a copy, but on volumes at the file itself."""
    shown = path if path.startswith("/") else f"/{path}"
    if main.on_volume(path):
        return f"open {_MOUNTED}{shown}: no such file or directory"
    return f"open {_STAGED}/{what}{shown}{suffix}: no such file or directory"


def _read(path: Path, given: str, name: str) -> bytes:
    # O_NONBLOCK: a named pipe must not keep the platform waiting for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ConfigError(f"output parameter {name!r}: {given} is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(PARAMETER_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > PARAMETER_BYTES:
        raise ConfigError(f"output parameter {name!r}: {given} is larger than {PARAMETER_BYTES} bytes")
    return data


def _trimmed(data: bytes) -> str:
    return data.decode("utf-8", errors="replace").removesuffix("\n")
