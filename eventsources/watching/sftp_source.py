"""The sftp source, running: a directory of a server is listed every so often, and compared with what is remembered.

So what came, changed or went while the platform was away is found. Nothing is read of the files themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from hashlib import sha256
from posixpath import basename, join

import anyio
import re2
from anyio.abc import TaskStatus

from eventsources.duration import seconds
from eventsources.port import SourceContext, SourceState
from eventsources.trying import keep_trying
from eventsources.watching.folder import restored, shown, stored
from eventsources.watching.sftp import EVERY, OPS, SETTLE, Sftp
from eventsources.watching.sftp_client import Login, Remote, Server, connected, host_key_of, public_key_beside
from retrain.events import Event, JsonValue
from retrain.log import get_logger
from retrain.manifests.argo import Shape

log = get_logger()

PAGE = 1000
BEGUN = "/begun"
HOST_KEYS = "host-keys"
CREATE, REMOVE = OPS["CREATE"], OPS["REMOVE"]


class SftpSource:
    """One entry of `spec.sftp`."""

    def __init__(self, name: str, spec: Shape, context: SourceContext) -> None:  # noqa: ARG002 - as all kinds are built
        assert isinstance(spec, Sftp)
        self._spec = spec
        self._context = context
        watch = spec.watch_path_config
        self._directory = watch.directory
        self._pattern = re2.compile(watch.path_regexp) if watch.path_regexp else None
        self._wanted = sum(OPS[word] for word in set(spec.event_type.split("|"))) if spec.event_type else CREATE
        self._every_s = seconds(spec.poll_interval_duration or EVERY)
        self._settle_s = seconds(spec.settle or SETTLE) if context.ours else 0.0
        self._tell_first = (spec.existing or ("emit" if context.ours else "skip")) == "emit"
        self._unsettled: dict[str, tuple[str, float]] = {}  # name: (version, since when it is known)

    def state(self) -> SourceState:
        return self._context.status.state()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        await keep_trying(self._context, self._follow)

    async def _follow(self) -> None:
        login = self._login()
        trusted = login.host_key or await self._remembered_key(login.address)
        asked = Login(login.address, login.user, login.password, login.private_key, trusted)
        async with connected(asked) as server:
            if not trusted:
                await self._remember_key(login.address, server.host_key)
            scope = sha256(f"{login.address}\n{self._directory}\n{self._spec.recursive}".encode()).hexdigest()[:16]
            while True:
                await self._scan(server, scope)
                note = None if login.host_key else f"the host key was taken at first sight: {server.host_key}"
                self._context.status.listening(note)
                await anyio.sleep(self._pause_s())

    # --- whom to trust -----------------------------------------------------------------------------------------------

    def _login(self) -> Login:
        """
        Raises:
            NotFound: a secret is not there yet.
            ConfigError: what it holds is no key.
        """
        spec, read = self._spec, self._context.read
        private_key = read(spec.ssh_key_secret)
        host_key = host_key_of(read(spec.host_key)) if spec.host_key is not None else public_key_beside(private_key)
        return Login(read(spec.address), read(spec.username), read(spec.password), private_key, host_key)

    async def _remembered_key(self, address: str) -> str:
        kept = await self._context.checkpoints.get(HOST_KEYS, [address])
        return str(kept.get(address, ""))

    async def _remember_key(self, address: str, key: str) -> None:
        await self._context.checkpoints.save(HOST_KEYS, {address: key})
        log.warning("sftp.host_key_taken", source=self._context.status.name, key=key)

    # --- comparing ---------------------------------------------------------------------------------------------------

    async def _scan(self, server: Server, scope: str) -> None:
        """Compare all that is there with what is known, then all that is known with what is there."""
        begun = await self._context.checkpoints.get(scope, [BEGUN])
        silent = not begun and not self._tell_first
        names: set[str] = set()
        page: dict[str, Remote] = {}
        async with aclosing(server.files(self._directory, recursive=self._spec.recursive)) as files:
            async for name, remote in files:
                if self._matches(name):
                    names.add(name)
                    page[name] = remote
                if len(page) == PAGE:
                    await self._compare(scope, page, silent=silent)
                    page = {}
        await self._compare(scope, page, silent=silent)
        await self._find_gone(scope, names)
        for name in self._unsettled.keys() - names:
            del self._unsettled[name]
        if not begun:
            await self._context.checkpoints.save(scope, {BEGUN: True})

    async def _compare(self, scope: str, page: Mapping[str, Remote], *, silent: bool) -> None:
        known = await self._context.checkpoints.get(scope, [stored(name) for name in page])
        events: list[Event] = []
        changed: dict[str, JsonValue] = {}
        for name, remote in page.items():
            if known.get(stored(name)) == remote.version or not (silent or self._settled(name, remote)):
                continue
            changed[stored(name)] = remote.version
            if self._wanted & CREATE and not silent:
                events.append(self._event(CREATE, name, remote.version, remote))
        await self._context.deliver(events)
        if changed:
            await self._context.checkpoints.save(scope, changed)

    async def _find_gone(self, scope: str, names: Collection[str]) -> None:
        after = ""
        while known := await self._context.checkpoints.after(scope, after, PAGE):
            after = max(known)
            gone = [text for text in known if text != BEGUN and restored(text) not in names]
            if not gone:
                continue
            if self._wanted & REMOVE:
                await self._context.deliver([self._event(REMOVE, restored(one), str(known[one]), None) for one in gone])
            await self._context.checkpoints.forget(scope, gone)

    def _matches(self, name: str) -> bool:
        if self._pattern is not None:
            return self._pattern.search(shown(name)) is not None
        path = self._spec.watch_path_config.path
        return not path or name == path

    def _settled(self, name: str, remote: Remote) -> bool:
        """Whether a file is whole: it has not changed for a while, from one look to another."""
        if not self._settle_s:
            return True
        version, since = self._unsettled.get(name, ("", 0.0))
        if version != remote.version:
            self._unsettled[name] = (remote.version, anyio.current_time())
            return False
        if anyio.current_time() - since < self._settle_s:
            return False
        del self._unsettled[name]
        return True

    def _pause_s(self) -> float:
        """Until the next look: sooner where a file may be whole before."""
        due = [since + self._settle_s - anyio.current_time() for _, since in self._unsettled.values()]
        return min([self._every_s, *(max(0.05, left) for left in due)])

    # --- telling -----------------------------------------------------------------------------------------------------

    def _event(self, bit: int, name: str, version: str, now: Remote | None) -> Event:
        """Upstream's `name` is the file's own name, without its folder."""
        data: dict[str, JsonValue] = {"name": shown(basename(name)), "op": bit}
        if not self._context.metadata:
            data["metadata"] = None
        if self._context.ours:
            modified = datetime.fromtimestamp(now.modified, UTC).isoformat() if now is not None else None
            data |= {
                "path": shown(join(self._directory, name)),
                "size": now.size if now is not None else None,
                "modified": modified,
                "etag": version,
            }
        return self._context.event(f"{bit}:{stored(join(self._directory, name))}:{version}", data)
