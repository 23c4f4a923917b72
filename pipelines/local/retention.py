"""Taking away what runs have left on disk: directories of steps, and the claims of runs."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pipelines.local.workspace import ENDED, claims_directory, run_directory


def remove_tree(path: Path) -> None:
    """Remove a directory whatever its modes; a link is removed and not followed. Twice is once.

    What a step has made read-only is made writable first. What cannot be removed all the same stays.
    """

    def again(remove: Callable[..., Any], name: str, _info: object) -> None:
        parent = Path(name).parent
        with contextlib.suppress(OSError):
            for one in (parent, Path(name)):
                if not one.is_symlink() and one.is_dir():
                    one.chmod(one.stat().st_mode | stat.S_IRWXU)
            if remove in (os.scandir, os.open, os.rmdir, os.listdir) and Path(name).is_dir():
                shutil.rmtree(name, ignore_errors=True)
            else:
                remove(name)

    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
        return
    shutil.rmtree(path, onerror=again)


def keeps_claims(spec: Mapping[str, Any], succeeded: bool) -> bool:
    """Whether a run's claims outlive it: `volumeClaimGC` says, and without it only those of a run that succeeded go, so
    that a retry finds what was there."""
    strategy = (spec.get("volumeClaimGC") or {}).get("strategy") or "OnWorkflowSuccess"
    return strategy == "OnWorkflowSuccess" and not succeeded


def mark_ended(home: Path) -> None:
    """Note that a run is over; nothing where it has left no directory."""
    with contextlib.suppress(FileNotFoundError):
        (home / ENDED).touch()


def remove_run(data: Path, run_id: str) -> None:
    """Everything that a run has left: directories of its steps, with logs, and its claims."""
    remove_tree(run_directory(data, run_id))
    remove_tree(claims_directory(data, run_id))


def remove_old(data: Path, keep: timedelta, now: datetime) -> list[str]:
    """Remove the directories of runs that have ended longer ago than `keep`; their names. Looks at one file a run."""
    gone: list[str] = []
    for home in _directories(data / "runs"):
        try:
            ended = datetime.fromtimestamp((home / ENDED).stat().st_mtime, now.tzinfo)
        except OSError:
            continue
        if now - ended > keep:
            remove_tree(home)
            remove_tree(data / "claims" / home.name)
            gone.append(home.name)
    return gone


def _directories(path: Path) -> Iterable[Path]:
    with contextlib.suppress(FileNotFoundError):
        yield from sorted(path.iterdir())
