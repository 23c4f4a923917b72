"""A private root for machines without namespaces: the paths that a step declares are changed wherever they are written.

`echo hi > /tmp/hi.txt` becomes `echo hi > HOME/work/tmp/hi.txt`. A path counts where it stands as whole components
(`/tmp/out` is not found in `/tmp/out.txt`), the longest first; what the text puts together from pieces is not found.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipelines.local.inside import plain, stay
from pipelines.local.isolation import Rung
from pipelines.local.mounts import PRIVATE_ROOTS
from pipelines.local.process import Command
from pipelines.local.view import Wants, make, working_directory
from retrain.errors import ConfigError

_HARMLESS = re.compile(r"[\w./+@%=:,~-]+")
_BEFORE = r"(?:(?<![\w.~/}+@%-])|(?<=file://))"
_AFTER = r"(?![\w~+@%$*?\[{]|[.-]+[\w~+@%$*?\[{])"
"""What follows goes on with the last component: a letter, or dots and dashes with a letter behind them."""


class Paths:
    """Declared paths with what they become, for replacing them in texts."""

    def __init__(self, pairs: Mapping[str, str]) -> None:
        self._pairs = dict(pairs)
        longest_first = sorted(self._pairs, key=len, reverse=True)
        choice = "|".join(re.escape(path) for path in longest_first)
        self._pattern = re.compile(f"{_BEFORE}(?:{choice}){_AFTER}") if choice else None

    def replace(self, text: str) -> str:
        """The text with every declared path replaced. Once: what is put in is not looked at again."""
        return self._pattern.sub(lambda match: self._pairs[match[0]], text) if self._pattern else text

    def resolve(self, path: PurePosixPath) -> Path | None:
        """What a path becomes; None for one that no declared path covers."""
        for one in (path, *path.parents):
            if (base := self._pairs.get(str(one))) is not None:
                return Path(base) / path.relative_to(one)
        return None


def open_rewritten(home: Path, wants: Wants, project: Path, keep: Iterable[Path]) -> RewrittenView:
    """The view of a step that declares absolute paths.

    Raises:
        ConfigError: a path cannot be private, or the data directory's own path cannot stand in a text.
    """
    root = home / "work"
    if not _HARMLESS.fullmatch(os.fspath(root)):
        raise ConfigError(
            f"the directory {os.fspath(root)!r} has characters that cannot be put into a step's text; "
            "use a data directory with plain letters, or the rung 'namespace'"
        )
    given = working_directory(wants.working_dir, project, home)
    targets = {str(plain(mount.target)): mount for mount in wants.mounts}
    absolute = [plain(path) for path in (*wants.paths, wants.working_dir or "") if PurePosixPath(path).is_absolute()]
    private = [path for path in absolute if not any(path.is_relative_to(target) for target in targets)]
    pairs = {path: f"{root}{path}" for one in private for path in _names(one)}
    pairs |= {path: f"{root}{path}" for path in PRIVATE_ROOTS}
    # What stays where it is, though it may lie below a name that is replaced.
    pairs |= {os.fspath(path): os.fspath(path) for path in (project, home, *keep) if path != Path("/")}
    pairs |= {target: os.fspath(mount.source) for target, mount in targets.items()}
    paths = Paths(pairs)
    place = given or (root if not wants.working_dir else paths.resolve(plain(wants.working_dir)) or root)
    own = (root, *(mount.source for mount in wants.mounts))
    return RewrittenView(root, place, paths, own, tuple(private))


def _names(path: PurePosixPath) -> list[str]:
    """A declared path, and what is above it as far as the host has no such directory: `mkdir -p /out; ... > /out/x`."""
    if path == PurePosixPath("/"):
        raise ConfigError("'/' cannot be a declared path of a local step; name what is in it")
    names = [str(path)]
    for above in path.parents:
        if Path(above).exists():
            break
        names.append(str(above))
    return names


@dataclass(frozen=True, slots=True)
class RewrittenView:
    """A private directory that the step's text is changed for."""

    root: Path
    directory: Path
    paths: Paths
    own: tuple[Path, ...]
    private: tuple[PurePosixPath, ...]
    rung: Rung | None = Rung.rewrite

    @property
    def cwd(self) -> str:
        return os.fspath(self.directory)

    def prepare(self) -> None:
        make(self.root)
        if self.directory.is_relative_to(self.root):
            make(self.directory)
        for path in PRIVATE_ROOTS:
            make(self.root / path[1:])
        for path in self.private:
            # An image has the directories that a machine has; others the step makes itself, as there.
            if Path(path).parent.is_dir():
                make(self.root / path.relative_to("/").parent)

    def locate(self, path: str) -> Path:
        pure = plain(path)
        if not pure.is_absolute():
            return stay(self.directory / pure, path, (self.directory, *self.own))
        found = self.paths.resolve(pure)
        if found is None:
            raise ConfigError(f"{path!r} is not the step's own; it must be declared")
        return stay(found, path, self.own)

    def found(self, path: str) -> Path:
        return self.locate(path)

    def shown(self, path: Path) -> str:
        return os.fspath(path)

    def rewrite(self, text: str) -> str:
        return self.paths.replace(text)

    def which(self, program: str, path: str) -> str | None:
        name = self.paths.replace(program)
        found = shutil.which(os.fspath(self.directory / name)) if "/" in name else shutil.which(name, path=path)
        return os.path.abspath(found) if found else None  # noqa: PTH100  # a virtual environment's python is a link

    def command(
        self, argv: Sequence[str], env: Mapping[str, str], *, capture: bool = False, umask: int = 0o022
    ) -> Command:
        words = tuple(self.paths.replace(word) for word in argv)
        values = {name: self.paths.replace(value) for name, value in env.items()}
        return Command(words, values, self.directory, capture, None, umask)

    def close(self) -> None:
        pass
