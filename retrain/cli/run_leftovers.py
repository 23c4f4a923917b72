"""What a run in the foreground leaves on the machine, taken away: by itself at its end, and by others if it was killed.

A run without `--data` has a directory `retrain-run-*` of its own, which it holds locked; each command has its note in
`DATA/foreground`, locked too, with the container engine in the first line and the ids of its runs below. What is there
and not locked belongs to a command that is dead. The program that starts the steps sees the end of a killed command and
becomes `main` here; should it have been killed as well, the next `retrain run` does the same.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

FEW = 64
"""Steps whose directories are removed at once."""
PREFIX = "retrain-run-"
KEPT = "retrain-kept-"
"""Of a directory that is to stay."""
NOTES = "foreground"
PATIENCE_S = 5.0
"""The kernel lets go of what a killed process held one by one."""
_REMOVE = "import shutil, sys; shutil.rmtree(sys.argv[1], ignore_errors=True)"
_MAIN = "import sys; sys.path.insert(0, sys.argv.pop(1)); from retrain.cli.run_leftovers import main; main()"


def remove(data: Path) -> None:
    """Remove the data directory of a run that is over.

    To remove the directories of a thousand steps can take longer than to run them (a disk that discards freed blocks
    at once), so many of them are left to a process of their own, and the command does not wait for it.
    """
    steps = sum(1 for _ in data.glob("runs/*/*"))
    if steps <= FEW:
        from pipelines.local.retention import remove_tree

        remove_tree(data)
        return
    null = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in range(3)]
    words = [sys.executable, "-I", "-S", "-c", _REMOVE, os.fspath(data)]
    os.posix_spawn(words[0], words, {}, file_actions=null, setsid=True)


# --- while it goes on -------------------------------------------------------------------------------------------------


@contextmanager
def own_directory(*, keep: bool) -> Generator[Path]:
    """A new data directory, held as long as the block lasts. The caller removes it, or keeps it."""
    while True:
        data = Path(tempfile.mkdtemp(prefix=KEPT if keep else PREFIX)).resolve()
        with _held(data, wait_s=PATIENCE_S) as held:
            if held:
                yield data
                return


@contextmanager
def noted(data: Path, run_ids: Iterable[str], engine: str = "") -> Generator[None]:
    """Note that these runs go on as long as the block lasts, or this process."""
    notes = data / NOTES
    notes.mkdir(exist_ok=True)
    while True:
        note = notes / uuid4().hex[:12]
        note.touch()
        with _held(note, wait_s=PATIENCE_S) as held:
            if held:
                note.write_text("\n".join([engine, *run_ids]))
                yield
                note.unlink(missing_ok=True)
                return


def if_killed(data: Path, *, own: bool) -> tuple[str, ...]:
    """The argument list of what ends a killed command's steps. `own`: its directory goes too."""
    package = os.fspath(Path(__file__).parents[2])
    return (sys.executable, "-P", "-c", _MAIN, package, os.fspath(data), "own" if own else "shared")


def kill_steps(data: Path, run_ids: Iterable[str]) -> set[str]:
    """Kill the processes of runs, and of those that they have started in memory; their marks."""
    from pipelines.local import process
    from pipelines.local.leaf import mark_of
    from pipelines.local.workspace import run_directory

    homes = [run_directory(data, one) for one in run_ids]
    homes += [other for home in homes for other in home.parent.glob(f"{home.name}-*")]
    marks = {mark_of(home) for home in homes}
    process.sweep(process.RUN_MARKER, marks)
    return marks


# --- afterwards -------------------------------------------------------------------------------------------------------


def main() -> None:
    """End what a killed command has left. A container engine that does not answer here, where the command's variables
    are gone, is asked again by the next command."""
    _, data, whose = sys.argv
    end_abandoned(Path(data), own=whose == "own", wait_s=PATIENCE_S, last=False)


def sweep(data: Path | None) -> None:
    """End what killed commands of this user have left, in directories of their own and in this data directory."""
    with os.scandir(tempfile.gettempdir()) as entries:
        places = [
            Path(entry.path)
            for entry in entries
            if entry.name.startswith(PREFIX) and entry.is_dir(follow_symlinks=False) and _is_ours(entry)
        ]
    for place in places:
        end_abandoned(place.resolve(), own=True)
    if data is not None:
        end_abandoned(data, own=False)


def end_abandoned(data: Path, *, own: bool, wait_s: float = 0.0, last: bool = True) -> None:
    """Kill the steps of dead commands, give their runs up, and remove the directory if it was their `own`.

    `last`: containers that cannot be removed now never will be.
    """
    if not own:
        _end_notes(data, wait_s, last)
        return
    with _held(data, wait_s) as held:
        if held and _end_notes(data, 0.0, last):
            from pipelines.local.retention import remove_tree

            remove_tree(data)


def _end_notes(data: Path, wait_s: float, last: bool) -> bool:
    """Whether all is ended."""
    whole = True
    for note in sorted((data / NOTES).glob("*")):
        with _held(note, wait_s) as held:
            if not held:
                continue
            engine, *run_ids = note.read_text().split("\n")
            if _end(data, run_ids, engine) or last:
                note.unlink(missing_ok=True)
            else:
                whole = False
    return whole


def _end(data: Path, run_ids: Sequence[str], engine: str) -> bool:
    marks = kill_steps(data, (*run_ids, *_given_up(data, run_ids)))
    return not engine or _end_containers(engine, marks)


def _end_containers(engine: str, marks: Iterable[str]) -> bool:
    from pipelines.local.engine_rung import sweep_containers
    from pipelines.local.isolation import prefer_engine

    if prefer_engine(engine):
        return False
    for mark in marks:
        sweep_containers(mark)
    return True


def _given_up(data: Path, run_ids: Sequence[str]) -> list[str]:
    """End the runs in the store of this directory, if it has one; the ids of those that were open."""
    from pipelines.host.kept_run import STORE, give_up_all

    if not (data / STORE).is_file():
        return []
    import anyio

    return anyio.run(give_up_all, data, run_ids)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_uid == os.geteuid()
    return False


@contextmanager
def _held(path: Path, wait_s: float) -> Generator[bool]:
    """Hold a file or directory for the time of the block; false if another process does, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        yield _lock(descriptor, wait_s) and _is_still(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, wait_s: float) -> bool:
    deadline = time.monotonic() + wait_s
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether what was opened there was not removed meanwhile, by whoever held it before."""
    with suppress(OSError):
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    return False
