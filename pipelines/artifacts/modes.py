"""`mode` and `recurseMode` of an artifact.

Unlike upstream a mode that is set on everything lets directories be entered by whoever may read them: 0644 would shut
them to all but root, as which upstream's containers run and our steps need not.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.artifacts.port import BadArtifact


def set_mode(path: Path, mode: int, *, recurse: bool) -> None:
    """Set the permission bits of a file or directory, with `recurse` of all in it too. Links are left as they are.

    Raises:
        BadArtifact: the mode is none from 0 to 0777.
    """
    if not 0 <= mode <= 0o777:
        raise BadArtifact(f"mode is 0 to 0777 (in JSON 511), not {mode:o} octal")
    if recurse and path.is_dir():
        for folder, folders, files in os.walk(path, topdown=False):
            for name in (*folders, *files):
                _set(Path(folder, name), mode)
    path.chmod(_for(path, mode) if recurse else mode)


def _set(path: Path, mode: int) -> None:
    if not path.is_symlink():
        path.chmod(_for(path, mode))


def _for(path: Path, mode: int) -> int:
    return mode | (mode & 0o444) >> 2 if path.is_dir() else mode
