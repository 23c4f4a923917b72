"""Steps in containers: the image itself, by the command line of docker or podman. Nothing is read by a shell.

The leader leads the engine's client (`docker run`), which passes on what the container prints, its exit code, and
SIGTERM. A container is named after the step's home: a second one for the same home cannot come about, and what a killed
client left is found by its name. What the template declares as input is mounted; outputs are copied out of the ended
container when they are asked for; then it is removed.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, cast

from pipelines.local.inside import plain, stay
from pipelines.local.isolation import ENGINES, Rung, engine
from pipelines.local.mounts import Mount
from pipelines.local.process import MARKER, RUN_MARKER, Command
from pipelines.local.view import Wants, make
from retrain.errors import ConfigError

RUN_LABEL = "retrain.dev/run-mark"
NODE_LABEL = "retrain.dev/node-mark"
_GPUS = "CUDA_VISIBLE_DEVICES"
_CLIENT_S = 120.0
_PULL_S = 3600.0
# What the client reads of its own environment: where the engine is, and who may use it.
_CLIENT = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "CONTAINER_HOST", "XDG_RUNTIME_DIR", "HOME", "PATH")


def open_container(home: Path, wants: Wants, project: Path) -> ContainerView:
    """The view of a step in a container of its image.

    Raises:
        ConfigError: no engine answers, there is no image, or a path that cannot be had.
    """
    program = engine()
    if not program:
        raise ConfigError(f"no container engine answers ({' and '.join(ENGINES)} were asked); see `retrain doctor`")
    if not wants.image or wants.image.startswith("-"):
        raise ConfigError(f"{wants.image!r} is no image that a container engine could run")
    for path in (*wants.paths, *(mount.target for mount in wants.mounts)):
        if plain(path) == PurePosixPath("/") or (":" in path and any(mount.target == path for mount in wants.mounts)):
            raise ConfigError(f"{path!r} cannot be a declared path of a container")
    name = f"retrain-{sha256(os.fsencode(home)).hexdigest()[:24]}"
    return ContainerView(home / "work", wants, program, name, project)


@dataclass(frozen=True, slots=True)
class ContainerView:
    """What a container sees: its image, the mounts, and the inputs that were put in place."""

    root: Path
    wants: Wants
    program: str
    name: str
    project: Path
    rung: Rung | None = Rung.container

    @property
    def cwd(self) -> str:
        if self.wants.working_dir:
            return os.fspath(PurePosixPath("/", self.wants.working_dir))
        return str(_image(self.program, cast("str", self.wants.image)).get("WorkingDir") or "/")

    def prepare(self) -> None:
        make(self.root)
        for path in self.wants.paths:
            make((self.root / plain(path).relative_to("/") if path.startswith("/") else self.root / plain(path)).parent)
        # One that a killed leader left behind: the step begins anew.
        self.close()

    def locate(self, path: str) -> Path:
        pure = PurePosixPath(self.cwd) / plain(path)
        mount = self._mount_of(pure)
        if mount is not None:
            return stay(mount.source / pure.relative_to(plain(mount.target)), path, (mount.source,))
        return stay(self.root / pure.relative_to("/"), path, (self.root,))

    def found(self, path: str) -> Path:
        pure = PurePosixPath(self.cwd) / plain(path)
        if self._mount_of(pure) is None:
            self._copy_out(pure)
        return self.locate(path)

    def shown(self, path: Path) -> str:
        for mount in self.wants.mounts:
            if path.is_relative_to(mount.source):
                return str(PurePosixPath(mount.target) / path.relative_to(mount.source))
        return f"/{path.relative_to(self.root)}" if path.is_relative_to(self.root) else os.fspath(path)

    def rewrite(self, text: str) -> str:
        return text

    def which(self, program: str, path: str) -> str | None:  # noqa: ARG002  # the image has its own PATH
        # Only the image knows; the engine says 127 where it has no such program.
        return program

    def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, capture: bool = False, umask: int = 0o022
    ) -> Command:
        marks = {RUN_LABEL: env.get(RUN_MARKER, ""), NODE_LABEL: env.get(MARKER, "")}
        words = [self.program, "run", "--name", self.name, "--init", "--network", "host"]
        words += [f"--label={name}={value}" for name, value in marks.items()]
        words += [f"--volume={self._volume(mount)}" for mount in (*self._always(), *self.wants.mounts, *self._inputs())]
        if self.wants.working_dir:
            words.append(f"--workdir={self.cwd}")
        if self.wants.user:
            words.append(f"--user={self.wants.user}")
        if env.get(_GPUS):
            words += _gpus(self.program, env[_GPUS])
        # By name only: the values, secrets among them, come from the client's environment and show in no process list.
        words += [f"--env={name}={value}" if name in _CLIENT else f"--env={name}" for name, value in env.items()]
        rest = list(argv)
        if self.wants.own_command and rest:
            words.append(f"--entrypoint={rest.pop(0)}")
        words += [cast("str", self.wants.image), *rest]
        return Command(tuple(words), {**env, **_client_environment()}, self.root, capture, None, umask)

    def close(self) -> None:
        _ask(self.program, "rm", "--force", "--volumes", self.name)

    def _always(self) -> list[Mount]:
        # As on the other rungs: the project and the private directory are there under their names of the host.
        return [Mount(self.project, os.fspath(self.project)), Mount(self.root, os.fspath(self.root))]

    def _inputs(self) -> list[Mount]:
        """What was put in place for the container before it began; what it writes there is seen there."""
        names = [plain(path) for path in self.wants.paths if path.startswith("/")]
        there = [(self.root / name.relative_to("/"), str(name)) for name in names]
        return [Mount(source, target) for source, target in there if source.exists()]

    def _mount_of(self, path: PurePosixPath) -> Mount | None:
        targets = sorted(self.wants.mounts, key=lambda mount: mount.target.count("/"), reverse=True)
        return next((one for one in targets if path.is_relative_to(plain(one.target))), None)

    def _volume(self, mount: Mount) -> str:
        source = os.path.abspath(mount.source)  # noqa: PTH100  # links stay as they are named
        if ":" in source:
            raise ConfigError(f"a container engine cannot mount {source!r}: its path has a colon")
        return f"{source}:{mount.target}{':ro' if mount.readonly else ''}"

    def _copy_out(self, path: PurePosixPath) -> None:
        """Copy a file or directory out of the ended container, once; nothing happens if it is not there."""
        target = self.root / path.relative_to("/")
        if target.exists():
            return
        make(target.parent)
        _ask(self.program, "cp", f"{self.name}:{path}", os.fspath(target))


def sweep_containers(run_mark: str) -> int:
    """Remove every container of a run; how many there were. Nothing happens where no engine answers."""
    program = engine()
    if not program:
        return 0
    listed = _ask(program, "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={RUN_LABEL}={run_mark}")
    found = listed.stdout.split()
    if found:
        _ask(program, "rm", "--force", "--volumes", *found)
    return len(found)


def image_command(image: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The (entrypoint, cmd) of an image; it is fetched if it is not there.

    Raises:
        ConfigError: no engine answers, or it cannot get the image.
    """
    found = _image(engine(), image)
    return tuple(found.get("Entrypoint") or ()), tuple(found.get("Cmd") or ())


def _gpus(program: str, visible: str) -> list[str]:
    if Path(program).name == "podman":
        return [f"--device=nvidia.com/gpu={one}" for one in visible.split(",")]
    return [f'--gpus="device={visible}"']


@cache
def _image(program: str, image: str) -> Mapping[str, Any]:
    """An image's configuration."""
    if not program:
        raise ConfigError("no container engine answers; see `retrain doctor`")
    inspected = _ask(program, "image", "inspect", "--format", "{{json .Config}}", image)
    if inspected.returncode != 0:
        pulled = _ask(program, "pull", "--quiet", image, limit_s=_PULL_S)
        if pulled.returncode != 0:
            raise ConfigError(f"image {image!r} cannot be had: {pulled.stderr.strip().rpartition(chr(10))[2]}")
        inspected = _ask(program, "image", "inspect", "--format", "{{json .Config}}", image)
    return cast("Mapping[str, Any]", json.loads(inspected.stdout))


def _ask(program: str, *words: str, limit_s: float = _CLIENT_S) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [program, *words], capture_output=True, text=True, check=False, timeout=limit_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{Path(program).name} {words[0]} did not answer in {limit_s:.0f} s") from error


def _client_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _CLIENT if name in os.environ}
