"""Objects of triggers that lie elsewhere (git, url, s3): read when a sensor asks for them first, and again as they age.

A failure keeps the last good text, also through a restart, and says so. Whoever decides never waits for any of this: it
gets the text that is in memory.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskStatus

from retrain.errors import ConfigError, NotFound, Permanent, Transient
from sensors.objects.settings import RemoteSettings
from sensors.objects.sources import NotReadYet, identity, kind_of, read_object
from sensors.trigger_spec import Source

log = structlog.get_logger()

AT_ONCE = 4
"""Places that are read at the same time."""


Read = Callable[[Source], Awaitable[str]]
"""Gives the text that is at a place now; Transient, Permanent, ConfigError or NotFound where it cannot be had."""


@dataclass(slots=True)
class _Place:
    """One place: its text as last read, and what was wrong when it was last tried."""

    source: Source
    text: str | None = None
    wrong: str | None = None
    tried: bool = False


@dataclass(slots=True)
class RemoteSources:
    """`folder`: where texts are kept for the next start. `read`: see `sensors.objects.reading`."""

    folder: Path
    read: Read
    settings: RemoteSettings = field(default_factory=RemoteSettings)
    _places: dict[str, _Place] = field(default_factory=dict[str, _Place])

    def fetch(self, source: Source) -> str:
        """The text as it was last read, by this process or one before it.

        Raises:
            NotReadYet: it could not be read so far; says why.
        """
        key = identity(source)
        place = self._places.get(key)
        if place is None:
            # The first time is when the sensor is compiled: from now on `run` keeps it fresh.
            place = self._places.setdefault(key, _Place(source, self._kept(key)))
        if place.text is None:
            raise NotReadYet(f"source.{kind_of(source)} {place.wrong or 'was not read yet'}")
        return place.text

    async def refresh(self, *, only_new: bool = False) -> None:
        """Read all places again; `only_new`: those that were never tried. What cannot be read keeps its last text."""
        limit = anyio.CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as group:
            for key, place in list(self._places.items()):
                if not (only_new and place.tried):
                    group.start_soon(self._refresh, key, place, limit)

    def retain(self, used: Iterable[Source]) -> None:
        """Forget all other places: the sensors that asked for them are gone."""
        wanted = {identity(source) for source in used}
        for key in [key for key in self._places if key not in wanted]:
            del self._places[key]

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep all places fresh. Started once the new ones were tried."""
        await self.refresh(only_new=True)
        task_status.started()
        while True:
            await anyio.sleep(self.settings.age_s)
            await self.refresh()

    @property
    def waiting_for(self) -> str | None:
        """What could not be read when it was last tried; None if all is well."""
        wrong = [f"source.{kind_of(place.source)} {place.wrong}" for place in self._places.values() if place.wrong]
        return "; ".join(wrong) or None

    async def _refresh(self, key: str, place: _Place, limit: anyio.CapacityLimiter) -> None:
        async with limit:
            try:
                with anyio.fail_after(self.settings.timeout_s):
                    text = await self.read(place.source)
                    if text != place.text:
                        # What is no object is no better than what cannot be read: the last good one stays.
                        await anyio.to_thread.run_sync(read_object, text, "what is there now")
            except TimeoutError:
                self._failed(place, f"did not answer within {self.settings.timeout_s:g} s")
            except (Transient, Permanent, ConfigError, NotFound) as error:
                self._failed(place, f"cannot be read: {error}")
            else:
                changed = text != place.text
                place.wrong, place.tried = None, True
                if changed:
                    place.text = text
                    await anyio.to_thread.run_sync(self._keep, key, text)
                    log.info("source.read", kind=kind_of(place.source), bytes=len(text))

    def _failed(self, place: _Place, wrong: str) -> None:
        place.wrong, place.tried = wrong, True
        log.warning("source.failed", kind=kind_of(place.source), error=wrong, kept=place.text is not None)

    # --- for the next start ---

    def _file(self, key: str) -> Path:
        return self.folder / f"{sha256(key.encode()).hexdigest()[:32]}.yaml"

    def _kept(self, key: str) -> str | None:
        try:
            return self._file(key).read_text()
        except (OSError, UnicodeDecodeError):
            return None

    def _keep(self, key: str, text: str) -> None:
        file = self._file(key)
        fresh = file.with_suffix(".new")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            fresh.write_text(text)
            fresh.replace(file)
        except OSError as error:
            log.warning("source.not_kept", error=str(error))
