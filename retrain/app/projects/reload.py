"""Hot reload: the project's files are looked at, and what changed is taken into the running platform.

A project is taken as a whole or not at all: with an error anywhere, the old version runs on, and `/readyz`, the log and
whoever asked say the first error. Only files that changed are read again, and only documents that changed touch what
runs. Asked for by a change on disk, by SIGHUP and by `POST /api/v1/reload`.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import structlog
from anyio.abc import TaskStatus

from retrain.app.projects.known import Known, Stamp, stamp_of
from retrain.app.projects.project import Project, load_project
from retrain.errors import ConfigError, RetrainError
from retrain.manifests.files import manifests_under

log = structlog.get_logger()

LOOK_S = 1.0
"""Seconds between two looks at the files; more where one look takes long."""
SHARE = 50
"""A look may take one part in so many of the time."""

Take = Callable[[Project], Awaitable[list[str]]]
"""Takes a project in; notes for people, such as that something takes effect only after a restart.

Raises:
    RetrainError: it cannot be taken now. As little as possible has changed.
"""


class Reloader:
    """Keeps the platform at what its project's files say. `trouble`: why they are not what runs; None if they are."""

    def __init__(self, folder: Path, known: Known, take: Take) -> None:
        self.trouble: str | None = None
        self.notes: tuple[str, ...] = ()
        self._folder = folder
        self._known = known
        self._take = take
        self._seen: Mapping[str, Stamp | None] | None = None
        self._asked = anyio.Event()
        self._one = anyio.Lock()

    def ask(self) -> None:
        """Look at the files now, and load them whether they have changed or not."""
        self._seen = None
        self._asked.set()

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Look at the files again and again until cancelled."""
        self._seen, took_s = await self._look()
        task_status.started()
        while True:
            self._asked = anyio.Event()
            with anyio.move_on_after(max(LOOK_S, SHARE * took_s)):
                await self._asked.wait()
            found, took_s = await self._look()
            if found != self._seen:
                await self._settle(found)

    async def reload(self) -> dict[str, Any]:
        """Load the files now; what came of it.

        Raises:
            ConfigError: they have an error; the old version runs on.
            Transient: they cannot be taken in now; it is tried again when they change, or when somebody asks.
        """
        found, _ = await self._look()
        await self._load(found)
        return {"status": "reloaded", "notes": list(self.notes)}

    async def _settle(self, found: Mapping[str, Stamp | None]) -> None:
        """Load once two looks in a row see the same: whoever writes several files is given the time for it."""
        while (again := (await self._look())[0]) != found:
            found = again
            await anyio.sleep(LOOK_S / 5)
        try:
            await self._load(found)
        except ConfigError:
            return  # it is said; nothing changes until the files do
        except RetrainError as error:
            log.warning("project.not_taken", error=str(error))
            self._seen = None  # another try at the next look

    async def _load(self, found: Mapping[str, Stamp | None]) -> None:
        async with self._one:
            project = await anyio.to_thread.run_sync(self._read)
            self._seen = found
            try:
                if project.errors:
                    first, more = project.errors[0], len(project.errors) - 1
                    at = f"{first.file}:{first.line}:{first.column}: {first.message}"
                    raise ConfigError(at + (f" (and {more} more; `retrain lint` shows them)" if more else ""))
                self.notes = tuple(await self._take(project))
            except RetrainError as error:
                self.trouble = f"the files have an error, the version before it runs on: {error}"
                log.warning("project.broken", error=str(error))
                raise
            self.trouble = None
            for note in self.notes:
                log.warning("project.note", note=note)

    def _read(self) -> Project:
        return load_project([self._folder], known=self._known)

    async def _look(self) -> tuple[Mapping[str, Stamp | None], float]:
        return await anyio.to_thread.run_sync(_look_at, self._folder)


def _look_at(folder: Path) -> tuple[Mapping[str, Stamp | None], float]:
    begin = time.perf_counter()
    found = {str(path): stamp_of(path) for path in manifests_under(folder)}
    return found, time.perf_counter() - begin
