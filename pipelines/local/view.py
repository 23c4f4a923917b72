"""How a step sees the disk: what it may call its own, where the platform finds that, and what runs in it.

    home/work     the step's private directory: its working directory, and `/` for a step that names absolute paths
    home/tmp      $TMPDIR
    home/overlays where the kernel keeps books on what a step writes into directories of the host

A step that declares no absolute path and no volume runs on the host's own tree, in `home/work`, on every rung but
`container`. All others have a private root: on rung `namespace` a real one (`private_root.py`), on rung `rewrite` one
that their text is changed for (`rewrite.py`), on rung `container` that of their image (`engine_rung.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from pipelines.local.inside import plain, stay
from pipelines.local.isolation import Rung, no_namespace
from pipelines.local.mounts import Mount
from pipelines.local.process import Command
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Wants:
    """What a container says of its disk: `paths` that it declares for inputs and outputs (absolute, or relative to its
    working directory), the volumes and files to mount, its working directory.

    For the rung `container` alone: its image, its user, and whether its argument list begins with a `command` of its
    own, or goes on from the image's entrypoint.
    """

    paths: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    working_dir: str | None = None
    image: str | None = None
    user: str | None = None
    own_command: bool = True


class View(Protocol):
    """How one step sees the disk."""

    @property
    def rung(self) -> Rung | None:
        """What it is kept apart by; None on the host's own tree."""
        ...

    @property
    def root(self) -> Path:
        """The private directory."""
        ...

    @property
    def cwd(self) -> str:
        """The working directory, as the step calls it."""
        ...

    def prepare(self) -> None:
        """Make the directories. May be repeated; before anything is put where `locate` says.

        Raises:
            OSError: no room, no right.
        """
        ...

    def locate(self, path: str) -> Path:
        """Where the step's own file of this name lies, or would lie, on the host. No link is left in what comes back.

        Raises:
            ConfigError: that is not the step's own: through `..`, a symbolic link, or because it is the host's.
        """
        ...

    def found(self, path: str) -> Path:
        """The same for reading: a file that the step only saw, and did not write, is the host's.

        Raises:
            ConfigError: see `locate`.
        """
        ...

    def shown(self, path: Path) -> str:
        """How the step calls a path of the host: below the private directory, the project or a mount."""
        ...

    def rewrite(self, text: str) -> str:
        """The step's text with the paths in it that must change."""
        ...

    def which(self, program: str, path: str) -> str | None:
        """The absolute path, as the step calls it, of a program that is looked for on `path`; None if it is nowhere."""
        ...

    def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, capture: bool = False, umask: int = 0o022
    ) -> Command:
        """What to launch: an argument list whose first word is from `which`, with what must change changed."""
        ...

    def close(self) -> None:
        """Once everything is read: take away what would stay behind outside of the step's home. May be repeated."""
        ...


def open_view(  # what a view is made of
    rung: Rung,
    home: Path,
    wants: Wants,
    project: Path,
    keep: Iterable[Path] = (),
    writable: Iterable[Path] = (),
) -> View:
    """Decide how a step sees the disk. Makes nothing yet.

    `project` and `home` stay visible and writable, and so does what is `writable`; `keep` stays visible.

    Raises:
        ConfigError: a path that a step cannot have for itself, a working directory that is not the step's to use, or a
            rung that this machine does not have.
    """
    if rung is Rung.container:
        from pipelines.local.engine_rung import open_container  # most machines have no use for it

        return open_container(home, wants, project)
    if not _wants_root(wants, project, home):
        return HostView(home / "work", working_directory(wants.working_dir, project, home) or home / "work")
    if rung is Rung.rewrite:
        from pipelines.local.rewrite import open_rewritten

        return open_rewritten(home, wants, project, (*keep, *writable))
    if problem := no_namespace():
        raise ConfigError(f"this machine has no rung 'namespace' ({problem}); choose the rung 'rewrite'")
    from pipelines.local.private_root import open_private

    return open_private(home, wants, project, tuple(keep), tuple(writable))


def working_directory(given: str | None, project: Path, home: Path) -> Path | None:
    """The host directory that a working directory means: relative to the project, or an absolute one in the project or
    the step's home. None for any other absolute path, which is private to the step, and for none.

    Raises:
        ConfigError: it is relative and leads out of the project, or is no directory there.
    """
    if not given:
        return None
    path = Path(os.path.realpath(project / given))
    if not any(path.is_relative_to(os.path.realpath(base)) for base in (project, home)):
        if PurePosixPath(given).is_absolute():
            return None
        raise ConfigError(
            f"workingDir {given!r} is outside the project directory {project}; "
            "use a directory of the project, or leave it out for a private one"
        )
    if not path.is_dir():
        raise ConfigError(f"workingDir {given!r} is no directory in {project}")
    return path


def _wants_root(wants: Wants, project: Path, home: Path) -> bool:
    if wants.mounts or any(PurePosixPath(path).is_absolute() for path in wants.paths):
        return True
    return bool(wants.working_dir) and working_directory(wants.working_dir, project, home) is None


OWN = ("work", "tmp")
"""The directories of a step that sees the host's own tree, in its home: its leader makes them."""


@dataclass(frozen=True, slots=True)
class HostView:
    """The host's own tree, and a private working directory in it. Before the step starts that is there only once it was
    prepared."""

    root: Path
    directory: Path
    rung: Rung | None = None

    @property
    def cwd(self) -> str:
        return os.fspath(self.directory)

    def prepare(self) -> None:
        make(self.root)

    def locate(self, path: str) -> Path:
        if PurePosixPath(path).is_absolute():
            raise ConfigError(f"{path!r} is not the step's own; it must be declared")
        return stay(self.directory / plain(path), path, (self.directory,))

    def found(self, path: str) -> Path:
        return self.locate(path)

    def shown(self, path: Path) -> str:
        return os.fspath(path)

    def rewrite(self, text: str) -> str:
        return text

    def which(self, program: str, path: str) -> str | None:
        if program.startswith("/") and os.path.isfile(program) and os.access(program, os.X_OK):  # noqa: PTH113
            return os.path.abspath(program)  # noqa: PTH100
        found = (
            shutil.which(os.fspath(self.directory / program)) if "/" in program else shutil.which(program, path=path)
        )
        # Not resolved: a virtual environment's python must stay a symbolic link.
        return os.path.abspath(found) if found else None  # noqa: PTH100

    def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, capture: bool = False, umask: int = 0o022
    ) -> Command:
        return Command(tuple(argv), env, self.directory, capture, None, umask, makes=OWN)

    def close(self) -> None:
        pass


def make(path: Path, mode: int = 0o750) -> None:
    """Make a directory with those above it; one that is there is left as it is."""
    path.mkdir(parents=True, exist_ok=True, mode=mode)
