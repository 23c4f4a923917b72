"""A private `/` for a step: what of the host shows in it, what is the step's own, and where that lies.

The step's own files lie below `home/work` under the same path. The host's directories show read-only, but for these:

- `/tmp`, `/var/tmp` and `/mnt` are private and empty; `/dev`, `/proc` and `/sys` are the host's as they are.
- The project, the step's home and what is declared writable are as on the host.
- A directory of the host that a declared path, or a volume's place, lies in gets an overlay: the step sees what the
  host has there, and what it writes is its own. Where the data directory itself lies in it, it is private and empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.local.inside import Spot, follow, plain
from pipelines.local.isolation import Rung
from pipelines.local.mounts import AS_THEY_ARE, PRIVATE_ROOTS, Layout, Mount
from pipelines.local.process import Command
from pipelines.local.view import Wants, make, working_directory
from retrain.errors import ConfigError

_ROOT = PurePosixPath("/")
_OURS = ("lost+found", *(path[1:] for path in PRIVATE_ROOTS if path.count("/") == 1))


def open_private(
    home: Path, wants: Wants, project: Path, keep: tuple[Path, ...], writable: tuple[Path, ...]
) -> PrivateView:
    """The view of a step that declares absolute paths or volumes.

    Raises:
        ConfigError: a path that the step cannot have for itself.
    """
    given = working_directory(wants.working_dir, project, home)
    own_cwd = plain(wants.working_dir) if wants.working_dir and given is None else None
    cwd = str(own_cwd or given or _ROOT)
    declared = [_host_name(plain(path)) for path in wants.paths if PurePosixPath(path).is_absolute()]
    volumes = [Mount(one.source, str(_host_name(plain(one.target))), one.readonly) for one in wants.mounts]
    as_on_host = _outermost((project, home, *(path for path in writable if path.exists())))
    base = _Plan(home / "work", [*volumes, *(Mount(path, os.fspath(path)) for path in as_on_host)])
    for path in (*declared, *([_host_name(own_cwd)] if own_cwd else [])):
        base.own(path)
    for volume in volumes:
        base.place(PurePosixPath(volume.target))
    for path in _outermost(path for path in keep if path.exists()):
        base.keep(path)
    return PrivateView(base.root, cwd, own_cwd is not None, base.layout(home / "overlays"))


class _Plan:
    """A layout while it comes about: which directories of the host are overlaid, and which hidden."""

    def __init__(self, root: Path, mounts: list[Mount]) -> None:
        self.root = root
        self._mounts = mounts
        self._overlaid: set[PurePosixPath] = set()
        self._hidden: set[PurePosixPath] = set(map(PurePosixPath, PRIVATE_ROOTS))

    def own(self, path: PurePosixPath) -> None:
        """Make a path one that the step may write."""
        if path == _ROOT or any(path.is_relative_to(kernel) for kernel in AS_THEY_ARE):
            raise ConfigError(f"{str(path)!r} cannot be private to a local step; use a path below /tmp, or a new one")
        if not any(path.is_relative_to(mount.target) for mount in self._mounts):
            self._uncover(path)

    def place(self, target: PurePosixPath) -> None:
        """Make sure that something can be mounted at a path: that there is something to mount it on."""
        if target == _ROOT or any(target.is_relative_to(kernel) for kernel in AS_THEY_ARE):
            raise ConfigError(f"nothing can be mounted at {str(target)!r} in a local step")
        others = (mount.target for mount in self._mounts if PurePosixPath(mount.target) != target)
        if not Path(target).exists() and not any(target.is_relative_to(other) for other in others):
            self._uncover(target)

    def keep(self, path: Path) -> None:
        """Make sure that a path of the host is seen, read-only, if something private hides it."""
        pure = PurePosixPath(path)
        covered = any(pure.is_relative_to(mount.target) for mount in self._mounts)
        if not covered and any(pure.is_relative_to(one) for one in self._hidden):
            self._mounts.append(Mount(path, os.fspath(path), readonly=True))

    def _uncover(self, path: PurePosixPath) -> None:
        if any(path.is_relative_to(one) for one in self._hidden):
            return
        there = next(one for one in (path, *path.parents) if Path(one).is_dir())
        if there == _ROOT:
            return
        # An overlay over the directory that it keeps its own files in is what no kernel makes.
        (self._hidden if self.root.is_relative_to(there) else self._overlaid).add(there)

    def layout(self, scratch: Path) -> Layout:
        tops = [entry for entry in os.scandir("/") if entry.name not in _OURS and f"/{entry.name}" not in AS_THEY_ARE]
        hidden = {str(path) for path in self._hidden}
        private = sorted(path for path in hidden if path.count("/") > 1 and Path(path).is_dir())
        return Layout(
            root=self.root,
            shown=tuple(e.path for e in tops if e.path not in hidden and e.is_dir(follow_symlinks=False)),
            links=tuple((e.path, os.readlink(e.path)) for e in tops if e.is_symlink()),  # noqa: PTH115  # as it is
            private=tuple(private),
            overlaid=tuple(str(path) for path in _outermost_names(self._overlaid)),
            mounts=tuple(sorted(self._mounts, key=lambda mount: mount.target.count("/"))),
            scratch=scratch,
        )


@dataclass(frozen=True, slots=True)
class PrivateView:
    """A private root. `own_cwd`: the working directory is in it, and may have to be made."""

    root: Path
    cwd: str
    own_cwd: bool
    layout: Layout
    rung: Rung | None = Rung.namespace

    def prepare(self) -> None:
        make(self.root)
        for path in PRIVATE_ROOTS:
            make(self.root / path[1:])
        for path in PRIVATE_ROOTS[:2]:
            (self.root / path[1:]).chmod(0o1777)
        for path in (*self.layout.private, *self.layout.overlaid):
            make(self.root / path[1:])
        for mount in self.layout.mounts:
            self._make_point(mount)
        # No directories of declared paths: what loads an input makes its own, and a step may make that of an output.
        if self.own_cwd:
            place = self._spot(PurePosixPath(self.cwd))
            if place.own and not place.path.exists() and self._mount_of(PurePosixPath(self.cwd, "x")) is None:
                make(place.path, 0o755)

    def locate(self, path: str) -> Path:
        found = follow(self._absolute(path), self._own_spot)
        if not found.own:
            raise ConfigError(f"{path!r} is not the step's own; it must be declared")
        return found.path

    def found(self, path: str) -> Path:
        return follow(self._absolute(path), self._spot).path

    def shown(self, path: Path) -> str:
        if path.is_relative_to(self.root):
            return f"/{path.relative_to(self.root)}".rstrip(".")
        return os.fspath(path)

    def rewrite(self, text: str) -> str:
        return text

    def which(self, program: str, path: str) -> str | None:
        if "/" in program:
            return program if self._runs(PurePosixPath(self.cwd, program)) else None
        tried = (PurePosixPath(self.cwd, folder, program) for folder in path.split(":"))
        return next((str(one) for one in tried if self._runs(one)), None)

    def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, capture: bool = False, umask: int = 0o022
    ) -> Command:
        return Command(tuple(argv), env, Path(self.cwd), capture, self.layout, umask)

    def close(self) -> None:
        pass

    def _absolute(self, path: str) -> PurePosixPath:
        # The host's own links, such as /bin, are not in the private directory until the step has run.
        return _host_name(PurePosixPath(self.cwd) / plain(path))

    def _runs(self, path: PurePosixPath) -> bool:
        try:
            found = follow(path, lambda one: Spot(self._spot(one).path, own=False)).path
        except ConfigError:
            return False
        return found.is_file() and os.access(found, os.X_OK)

    def _mount_of(self, path: PurePosixPath) -> Mount | None:
        # The deepest: they are sorted, parents first.
        return next((one for one in reversed(self.layout.mounts) if path.is_relative_to(one.target)), None)

    def _own_spot(self, path: PurePosixPath) -> Spot:
        """Where a path lies for one who means to write there: an overlay's upper side."""
        if (mount := self._mount_of(path)) is not None:
            return Spot(mount.source / path.relative_to(mount.target), own=not mount.readonly or self._placed(mount))
        return Spot(self.root / path.relative_to(_ROOT), own=self._private(path) or self._overlay_of(path) is not None)

    def _spot(self, path: PurePosixPath) -> Spot:
        """Where a path lies for one who reads: what the step wrote, or else what the host has."""
        spot = self._own_spot(path)
        if self._mount_of(path) is not None or self._private(path):
            return spot
        over = self._overlay_of(path)
        untouched = str(path) == over and spot.path.is_dir() and not any(spot.path.iterdir())
        if over is not None and os.path.lexists(spot.path) and not untouched:
            return spot
        return Spot(Path(path), own=False)

    def _placed(self, mount: Mount) -> bool:
        # A read-only file or volume of the step's, not what is kept of the host.
        return mount.source != Path(mount.target)

    def _private(self, path: PurePosixPath) -> bool:
        """Whether nothing of the host shows at a path."""
        if any(path.is_relative_to(one) for one in (*self.layout.private, *PRIVATE_ROOTS)):
            return True
        top = f"/{path.parts[1]}" if len(path.parts) > 1 else "/"
        return top not in (*self.layout.shown, *AS_THEY_ARE, *(name for name, _ in self.layout.links))

    def _overlay_of(self, path: PurePosixPath) -> str | None:
        return next((one for one in self.layout.overlaid if path.is_relative_to(one)), None)

    def _make_point(self, mount: Mount) -> None:
        target = PurePosixPath(mount.target)
        around = self._mount_of(target.parent)
        if around is not None:
            point = follow(target.parent, self._own_spot).path / target.name
        elif self._private(target) or self._overlay_of(target):
            point = self.root / target.relative_to(_ROOT)
        else:
            return
        make(point.parent)
        if mount.source.is_dir():
            make(point)
        else:
            point.touch(exist_ok=True)


def _host_name(path: PurePosixPath) -> PurePosixPath:
    """A path with the host's own links followed, as far as the host has it: `/bin/x` is `/usr/bin/x`.

    Not below the private directories, which the host's links do not reach.
    """
    if any(path.is_relative_to(one) for one in PRIVATE_ROOTS):
        return path
    there = next(one for one in (path, *path.parents) if Path(one).is_dir())
    return PurePosixPath(os.path.realpath(there)) / path.relative_to(there)


def _outermost(paths: Iterable[Path]) -> list[Path]:
    """Without those that lie in others, and without `/`."""
    unique = sorted({Path(os.path.abspath(path)) for path in paths} - {Path("/")})  # noqa: PTH100  # links stay
    return [path for path in unique if not any(path != other and path.is_relative_to(other) for other in unique)]


def _outermost_names(paths: set[PurePosixPath]) -> list[PurePosixPath]:
    return [one for one in sorted(paths) if not any(one != other and one.is_relative_to(other) for other in paths)]
