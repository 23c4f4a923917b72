"""Where a step lives on disk: a private directory for each run and node, and private views of absolute directories.

    <data>/runs/<run id>/<node id>/
        work/       the working directory, and $RETRAIN_OUTPUTS: relative paths of the step are private to it
        tmp/        $TMPDIR, and what a step with absolute output paths sees as /tmp, /var/tmp or /mnt
        script      the source of a script template
        progress    $ARGO_PROGRESS_FILE
        volumes/    the pod's volumes; inputs/ artifacts that several containers see
        containers/ the same again for each init container, sidecar and container of a containerSet
        main.log, stdout.log, pid   see `pipelines.local.process`

As few files and directories as will do: to make and to remove them costs more than to start a process.

Names come from workflows, so each becomes one plain path component: never a way out of the run's directory.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from retrain.errors import ConfigError

PRIVATE_ROOTS = ("/tmp", "/var/tmp", "/mnt")  # noqa: S108  # the steps' names for it; what they get is private
"""Absolute directories that a step can have for itself, by a bind mount in a mount namespace."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_LONGEST = 120


def safe_name(name: str) -> str:
    """One path component for a name: itself where it is plain, else its plain letters and a digest, so that no two
    names meet. Never hidden, never `..`, at most 131 characters."""
    plain = _UNSAFE.sub("_", name)
    if plain == name and len(name) <= _LONGEST and not name.startswith(".") and name:
        return name
    return f"{plain[:_LONGEST].lstrip('.')}~{sha256(name.encode(errors='surrogatepass')).hexdigest()[:10]}"


def run_directory(data: Path, run_id: str) -> Path:
    """The directory of one run's steps."""
    return data / "runs" / safe_name(run_id)


def claims_directory(data: Path, run_id: str) -> Path:
    """Where the directories of a run's `volumeClaimTemplates` are."""
    return data / "claims" / safe_name(run_id)


ENDED = ".ended"
"""A file in a run's directory, made when the run ends: its age is what counts."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """The directory of one step. `home` is absolute."""

    home: Path

    @property
    def work(self) -> Path:
        return self.home / "work"

    @property
    def tmp(self) -> Path:
        return self.home / "tmp"

    @property
    def main_log(self) -> Path:
        return self.home / "main.log"

    @property
    def stdout_log(self) -> Path:
        return self.home / "stdout.log"

    @property
    def script(self) -> Path:
        return self.home / "script"

    @property
    def progress(self) -> Path:
        """$ARGO_PROGRESS_FILE: the step may make it, nobody else does."""
        return self.home / "progress"

    def create(self) -> None:
        """Make the directories; those that exist are kept. Only the platform's user may look into them."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o750)
        for path in (self.work, self.tmp):
            path.mkdir(exist_ok=True, mode=0o750)

    def write_script(self, source: str) -> None:
        """Write the script, whole or not at all: a step that is found running may be reading it."""
        part = self.home / "script.part"
        part.write_text(source, encoding="utf-8", newline="")
        part.chmod(0o750)
        part.rename(self.script)

    def set_aside(self, why: str) -> int:
        """Rename the directory of an attempt that came to nothing, logs and all; how many there are now of this kind.

        `why`: a plain word that goes into the name.
        """
        count = len(self.set_asides(why)) + 1
        self.home.rename(self.home.with_name(f"{self.home.name}~{why}{count}"))
        return count

    def set_asides(self, why: str) -> list[Path]:
        """The directories that were put aside for this reason."""
        return sorted(self.home.parent.glob(f"{glob.escape(self.home.name)}~{why}*"))


def open_workspace(run: Path, node_id: str) -> Workspace:
    """The workspace of a node in a run's directory. Nothing is made yet."""
    return Workspace(run / safe_name(node_id))


def container_workspace(pod: Workspace, name: str) -> Workspace:
    """The workspace of a container of its own, below its pod's."""
    return Workspace(pod.home / "containers" / safe_name(name))


def container_homes(pod: Workspace) -> dict[str, Path]:
    """Where the logs of a pod's containers are: name (as a path component) -> directory; `main` first."""
    found = {"main": pod.home} if (pod.home / "pid").exists() or pod.main_log.exists() else {}
    with contextlib.suppress(FileNotFoundError):
        found |= {path.name: path for path in sorted((pod.home / "containers").iterdir()) if "~" not in path.name}
    return found


_ASIDE = re.compile(r"~(?:lost|interrupted|retried|failed)\d+$")


def set_aside_all_but(run: Path, node_ids: Iterable[str], why: str) -> None:
    """Rename the directories of all nodes of a run but these, logs and all. Twice is once."""
    kept = {safe_name(node_id) for node_id in node_ids}
    if not run.is_dir():
        return
    # A run that goes on has not ended.
    (run / ENDED).unlink(missing_ok=True)
    for home in sorted(run.iterdir()):
        if home.name not in kept and not _ASIDE.search(home.name):
            Workspace(home).set_aside(why)


@dataclass(frozen=True, slots=True)
class View:
    """How a step sees the disk: `mounts` (from, onto) for its mount namespace, empty where it needs none."""

    workspace: Workspace
    cwd: Path
    roots: tuple[str, ...] = ()

    def mounts(self, keep: Iterable[Path]) -> tuple[tuple[Path, Path], ...]:
        """The bind mounts, in order. Directories in `keep` that a private root would hide stay visible in it."""
        kept: list[tuple[Path, Path]] = []
        bases: list[tuple[Path, Path]] = []
        for root in self.roots:
            base = self._base(root)
            base.mkdir(exist_ok=True)
            if root in PRIVATE_ROOTS[:2]:
                base.chmod(0o1777)
            for path in _outermost(path for path in keep if path.is_relative_to(root)):
                onto = base / path.relative_to(root)
                onto.mkdir(parents=True, exist_ok=True)
                kept.append((path, onto))
            bases.append((base, Path(root)))
        return (*kept, *bases)

    def locate(self, path: str) -> Path:
        """Where the platform finds the file that the step calls `path`.

        Raises:
            ConfigError: through `..` or a symbolic link it lies outside the directory that it names.
        """
        pure = PurePosixPath(path)
        root = _private_root(pure) if pure.is_absolute() else None
        base = self._base(root) if root else self.cwd
        found = base / (pure.relative_to(root) if root else pure)
        if not Path(os.path.realpath(found)).is_relative_to(os.path.realpath(base)):
            raise ConfigError(f"{path!r} leads out of {root or 'the working directory'}")
        return found

    def _base(self, root: str) -> Path:
        # Not the step's $TMPDIR itself: two roots must not meet.
        return self.workspace.tmp / safe_name(root)


def view(workspace: Workspace, paths: Iterable[str], working_dir: str | None, project: Path) -> View:
    """Decide how a step with these declared output paths sees the disk.

    Raises:
        ConfigError: a path that a step cannot have for itself, or a working directory that is not the step's to use.
    """
    roots: dict[str, None] = {}
    for path in paths:
        pure = PurePosixPath(path)
        if not pure.is_absolute():
            continue
        root = _private_root(pure)
        if root is None:
            raise ConfigError(
                f"output path {path!r} cannot be private to a local step; use a relative path or one below "
                f"{', '.join(PRIVATE_ROOTS)}"
            )
        roots[root] = None
    return View(workspace, _working_directory(workspace, working_dir, project), tuple(roots))


def _working_directory(workspace: Workspace, given: str | None, project: Path) -> Path:
    if not given:
        return workspace.work
    path = Path(os.path.realpath(project / given))
    if not (path.is_relative_to(os.path.realpath(project)) or path.is_relative_to(os.path.realpath(workspace.home))):
        raise ConfigError(
            f"workingDir {given!r} is outside the project directory {project}; "
            "use a directory of the project, or leave it out for a private one"
        )
    if not path.is_dir():
        raise ConfigError(f"workingDir {given!r} is no directory in {project}")
    return path


def _private_root(path: PurePosixPath) -> str | None:
    if ".." in path.parts:
        return None
    return next((root for root in PRIVATE_ROOTS if path.is_relative_to(root) and str(path) != root), None)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    unique = sorted(set(paths))
    return [path for path in unique if not any(path != other and path.is_relative_to(other) for other in unique)]
