"""The file source: what is created, written or removed in a directory, also while the platform was away.

Reports of the kernel only say where to look. What happened is decided by comparing the directory with what the store
remembers of it, at the start, after every lost report, and every so often. So a file is told once, whatever was missed.

Source of payload and bits: pkg/eventsources/sources/file/start.go and common/fsevent of Argo Events.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing
from hashlib import sha256
from urllib.parse import quote

import anyio
import anyio.to_thread
import re2
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.fields import (
    Filter,
    Limits,
    Path,
    Reconcile,
    check_duration,
    check_existing,
    check_reconcile,
    check_regexp,
    only_ours,
)
from eventsources.port import SourceContext, SourceState
from eventsources.watching.disks import network_disk
from eventsources.watching.file_changes import CREATE, REMOVE, WRITE, decide, event_id, pick
from eventsources.watching.folder import Folder, Found, Lost, restored, shown, stored
from eventsources.watching.inotify import CLOSE_WRITE, GONE, MOVED_TO, OVERFLOW, Inotify
from eventsources.watching.inotify_tree import InotifyTree
from retrain.events import MAX_ATTRIBUTE, OBJECT, Event, JsonValue
from retrain.log import get_logger
from retrain.manifests import Problem
from retrain.manifests.argo import Shape

log = get_logger()

OPS = {"CREATE": 1, "WRITE": 2, "REMOVE": 4, "RENAME": 8, "CHMOD": 16}
"""fsnotify's operations and their bits."""

PAGE = 1000
SETTLE = "2s"
RECONCILE = "5m"
POLL_S = 1.0
RETRY_MIN_S, RETRY_MAX_S = 0.2, 10.0
BEGUN = "/begun"
"""Kept among the names once the first scan is through. No file's name holds a slash."""


class WatchPath(Shape):
    """A directory and which files in it: one name, or a regular expression (RE2) found in the name.

    In retrain.dev/v1 it may be relative to the project's folder, and without a choice all files are meant.
    """

    directory: str = ""
    path: str = ""
    path_regexp: str = ""


class File(Shape):
    """Files in a directory. `recursive`, `settle`, `existing`, `reconcile` and `limits` are of retrain.dev/v1.

    `event_type`: CREATE, WRITE, REMOVE, RENAME, CHMOD, several with `|` between. `settle`: a file that nobody has
    closed counts as complete when it has not changed for so long. `existing`: emit or skip what is there at the
    first start. `recursive`: with the folders below; names are paths then.
    """

    watch_path_config: WatchPath = WatchPath()
    event_type: str = ""
    polling: bool = False
    recursive: bool = False
    metadata: dict[str, str] = {}
    filter: Filter | None = None
    settle: str | None = None
    existing: str | None = None
    reconcile: Reconcile | None = None
    limits: Limits | None = None


def check(path: Path, file: File, ours: bool) -> Iterator[Problem]:
    """What is wrong with one file source."""
    watched = (*path, "watchPathConfig")
    yield from _check_watch(watched, file.watch_path_config, ours=ours, recursive=file.recursive)
    if not file.event_type and not ours:
        yield Problem(path, "missing-field", f"eventType is missing; it is one of {', '.join(OPS)}")
    for word in file.event_type.split("|") if file.event_type else ():
        if word not in OPS:
            yield Problem((*path, "eventType"), "wrong-value", f"eventType {word!r} is none of {', '.join(OPS)}")
    yield from only_ours(path, file, ("recursive", "settle", "existing", "reconcile"), ours=ours)
    if file.settle is not None:
        yield from check_duration((*path, "settle"), file.settle)
    yield from check_existing((*path, "existing"), file.existing)
    yield from check_reconcile((*path, "reconcile"), file.reconcile)


def _check_watch(path: Path, watch: WatchPath, *, ours: bool, recursive: bool) -> Iterator[Problem]:
    if not watch.directory:
        yield Problem(path, "missing-field", "directory is missing")
    elif not (ours or watch.directory.startswith("/")):
        message = "directory must be an absolute path; retrain.dev/v1 takes one relative to the project, too"
        yield Problem((*path, "directory"), "wrong-value", message)
    if bool(watch.path) == bool(watch.path_regexp) and not (ours and not watch.path):
        yield Problem(path, "wrong-value", "give one of path (a file's name) and pathRegexp")
    if "/" in watch.path and not recursive:
        message = "path is the name of a file in the directory; folders below it are watched with recursive: true"
        yield Problem((*path, "path"), "unsupported-field", message)
    if watch.path_regexp:
        yield from check_regexp((*path, "pathRegexp"), watch.path_regexp)


class FileSource:
    """One entry of `spec.file`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:
        assert isinstance(spec, File)
        self._name = name
        self._spec = spec
        self._context = context
        self._status = context.status
        watch = spec.watch_path_config
        self._directory = os.path.normpath(context.project / watch.directory)
        self._pattern = re2.compile(watch.path_regexp) if watch.path_regexp else None
        default = CREATE | WRITE
        self._wanted = sum({OPS[word] for word in spec.event_type.split("|")}) if spec.event_type else default
        self._settle_s = seconds(spec.settle or SETTLE) if context.ours else 0.0
        self._every_s = seconds(spec.reconcile.every if spec.reconcile else RECONCILE)
        self._tell_first = (spec.existing or ("emit" if context.ours else "skip")) == "emit"
        # Another directory is another memory; the name may be longer than what a name in the store should be.
        whole = b"/**" if spec.recursive else b""
        self._scope = sha256(os.fsencode(self._directory) + whole).hexdigest()[:16]
        self._unsettled: dict[str, tuple[str, float]] = {}  # name: (version, when it counts as complete)
        self._note: str | None = None

    def state(self) -> SourceState:
        return self._status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        delay = RETRY_MIN_S
        while True:
            try:
                with ExitStack() as stack:
                    folder = await anyio.to_thread.run_sync(self._folder)
                    reports = await anyio.to_thread.run_sync(self._watch)
                    if reports is not None:
                        stack.enter_context(closing(reports))
                    await self._scan(folder)
                    self._status.listening(self._note)
                    task_status.started()
                    delay = RETRY_MIN_S
                    await self._follow(folder, reports)
            except Lost as error:
                self._status.waiting(str(error))
                log.info("file.waiting", source=self._status.name, reason=str(error))
            await anyio.sleep(delay)
            delay = min(delay * 2, RETRY_MAX_S)

    def _folder(self) -> Folder:
        return Folder(self._directory, recursive=self._spec.recursive)

    def _watch(self) -> Inotify | InotifyTree | None:
        """The kernel's reports; None where there are none, and the directory is read every second instead."""
        self._note = None
        if self._spec.polling:
            return None
        if disk := network_disk(self._directory):
            self._note = f"on a network disk ({disk}): the directory is read every {POLL_S:g} s"
            return None
        try:
            return InotifyTree(self._directory) if self._spec.recursive else Inotify(self._directory)
        except OSError as error:
            self._note = f"no reports of changes ({error.strerror}): the directory is read every {POLL_S:g} s instead"
            log.warning("file.polling", source=self._status.name, reason=error.strerror)
            return None

    # --- following -----------------------------------------------------------------------------------------------

    async def _follow(self, folder: Folder, reports: Inotify | InotifyTree | None) -> None:
        every = self._every_s if reports is not None else min(POLL_S, self._every_s)
        next_scan = anyio.current_time() + every
        while True:
            hints = await self._hints(reports, next_scan)
            due = [name for name, (_, when) in self._unsettled.items() if when <= anyio.current_time()]
            if hints is None or anyio.current_time() >= next_scan:
                await self._scan(folder)
                next_scan = anyio.current_time() + every
            elif hints or due:
                await self._look(folder, {**dict.fromkeys(due, 0), **hints})
            self._status.listening(self._note)

    async def _hints(self, reports: Inotify | InotifyTree | None, deadline: float) -> dict[str, int] | None:
        """What the kernel reports until the deadline or until a file should be complete; None: look at everything."""
        deadline = min([deadline, *(when for _, when in self._unsettled.values())])
        with anyio.move_on_after(max(0.0, deadline - anyio.current_time())):
            if reports is None:
                await anyio.sleep_forever()
            else:
                await anyio.wait_readable(reports.fd)
        try:
            return self._read(reports) if reports is not None else {}
        except OSError as error:
            raise Lost(f"directory {shown(self._directory)!r} cannot be watched: {error.strerror}") from error

    def _read(self, reports: Inotify | InotifyTree) -> dict[str, int] | None:
        """What has come, all of it: a tree follows its folders by that."""
        hints: dict[str, int] = {}
        lost = False
        for name, mask in reports.read():
            if mask & GONE:
                raise Lost(f"directory {shown(self._directory)!r} was removed or renamed")
            lost = lost or bool(mask & OVERFLOW)
            if name and self._matches(name):
                hints[name] = hints.get(name, 0) | mask
        if lost:
            log.info("file.reports_lost", source=self._status.name)
        return None if lost else hints

    def _matches(self, name: str) -> bool:
        if self._pattern is not None:
            return self._pattern.search(os.fsencode(name).decode("utf-8", "replace")) is not None
        path = self._spec.watch_path_config.path
        return not path or name == path

    # --- comparing -----------------------------------------------------------------------------------------------

    async def _scan(self, folder: Folder) -> None:
        """Compare all that is there with what is known, then all that is known with what is there."""
        begun = await self._context.checkpoints.get(self._scope, [BEGUN])
        silent = not begun and not self._tell_first
        with closing(folder.pages(self._matches, PAGE)) as pages:
            while (page := await anyio.to_thread.run_sync(_next, pages)) is not None:
                await self._compare(page, dict.fromkeys(page, 0), silent=silent)
        after = ""
        while known := await self._context.checkpoints.after(self._scope, after, PAGE):
            after = max(known)
            names = [restored(text) for text in known if text != BEGUN]
            found = await anyio.to_thread.run_sync(folder.look, names)
            await self._compare({}, {name: 0 for name in names if name not in found}, silent=silent)
        if not begun:
            await self._context.checkpoints.save(self._scope, {BEGUN: True})

    async def _look(self, folder: Folder, hints: Mapping[str, int]) -> None:
        names = list(hints)
        for start in range(0, len(names), PAGE):
            page = {name: hints[name] for name in names[start : start + PAGE]}
            await self._compare(await anyio.to_thread.run_sync(folder.look, list(page)), page)

    async def _compare(self, found: Mapping[str, Found], hints: Mapping[str, int], *, silent: bool = False) -> None:
        """Tell what happened to the files in `hints`; those not `found` are gone."""
        kept = await self._context.checkpoints.get(self._scope, [stored(name) for name in hints])
        known = {restored(text): str(version) for text, version in kept.items()}
        events: list[Event] = []
        changed: dict[str, JsonValue] = {}
        gone: list[str] = []
        for name, mask in hints.items():
            now = found.get(name)
            bits = decide(known.get(name), now.version if now else None, mask)
            written = bits & (CREATE | WRITE) and not silent
            if written and now is not None and not self._settled(name, now, mask):
                continue
            self._unsettled.pop(name, None)
            if not bits:
                continue
            bit = 0 if silent else pick(bits, self._wanted)
            if bit:
                events.append(self._event(bit, name, now, known.get(name, "")))
            if now is None:
                gone.append(stored(name))
            else:
                changed[stored(name)] = now.version
        await self._context.deliver(events)
        await self._remember(changed, gone)

    async def _remember(self, changed: Mapping[str, JsonValue], gone: Collection[str]) -> None:
        if changed:
            await self._context.checkpoints.save(self._scope, changed)
        if gone:
            await self._context.checkpoints.forget(self._scope, gone)

    def _settled(self, name: str, now: Found, mask: int) -> bool:
        """Whether a file is complete: its writer has closed it, or it has not changed for a while."""
        if not self._settle_s or mask & (CLOSE_WRITE | MOVED_TO):
            return True
        if self._context.clock.now().timestamp() - now.changed_s >= self._settle_s:
            return True
        version, when = self._unsettled.get(name, ("", 0.0))
        if version == now.version and when <= anyio.current_time():
            return True
        if version != now.version:
            self._unsettled[name] = (now.version, anyio.current_time() + self._settle_s)
        return False

    # --- telling -------------------------------------------------------------------------------------------------

    def _event(self, bit: int, name: str, now: Found | None, known: str) -> Event:
        path = os.path.join(self._directory, name)  # noqa: PTH118 - names may be no text that Path keeps
        version = now.version if now is not None else known
        if now is not None and not bit & (CREATE | WRITE | REMOVE):
            version = f"{version}:{now.changed_ns}"  # what changed is not in the version
        data: dict[str, JsonValue] = {"name": shown(path), "op": bit, "metadata": self._spec.metadata or None}
        if self._context.ours:
            data |= {"path": shown(name), "size": now.size if now is not None else None, "etag": version}
        return Event(
            id=event_id(self._name, bit, path, version),
            source=self._context.source,
            type="file",
            subject=self._name,
            time=self._context.clock.now(),
            data=data,
            datacontenttype="application/json",
            extensions={OBJECT: _url(path)},
        )


def _url(path: str) -> str:
    return f"file://{quote(os.fsencode(path), safe='/')}"[:MAX_ATTRIBUTE]


def _next(pages: Iterator[dict[str, Found]]) -> dict[str, Found] | None:
    return next(pages, None)
