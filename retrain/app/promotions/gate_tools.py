"""What gates ask with on a running platform: its store, workflows and secrets, and HTTP with the triggers' guard."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import aiohttp
import anyio.to_thread
from sqlalchemy import Connection

from pipelines.host.queue import RunRequest, submit
from retrain.app.guarded_http import bounded, open_guarded, shown
from retrain.app.projects.bounded_files import read_at_most
from retrain.clock import Clock
from retrain.errors import Permanent, Transient
from retrain.events import JsonValue
from retrain.store import Store, memos, runs
from retrain.store.memos import MemoRow
from retrain.store.runs import Engine
from triggers.addresses import check_literal
from triggers.port import Secrets
from triggers.settings import HttpSettings

CACHE = "retrain.dev/gates"
"""The name among the memos under which answers are kept; who has not used one for long asks again."""
LATER = frozenset({408, 425, 429})
READ_S = 60.0


@dataclass(frozen=True, slots=True)
class GateGround:
    """What the tools stand on. Files are read below `project` and `data` only."""

    store: Store
    clock: Clock
    secrets: Secrets
    project: Path
    data: Path
    http: HttpSettings = field(default_factory=HttpSettings)
    engine: Engine = "local"
    """Who works on the workflows of gates that do not say it."""


class GateTools:
    """`deploy.gates.Tools`. Get one from `open_gate_tools`."""

    def __init__(self, ground: GateGround, session: aiohttp.ClientSession) -> None:
        self._ground = ground
        self._session = session

    @property
    def scratch(self) -> Path:
        """A folder for what does not outlive the question."""
        folder = self._ground.data / "gates"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float, most: int) -> bytes:
        """The body of the 2xx answer."""
        return await self._ask("POST", url, timeout_s, most, data=body, headers=dict(headers))

    async def secret(self, name: str, key: str) -> str:
        """A value of a Secret."""
        return await anyio.to_thread.run_sync(self._ground.secrets.secret, name, key)

    async def read(self, uri: str, most: int) -> bytes:
        """The bytes behind `https://`, `http://`, `file://` or a path of this machine."""
        if uri.startswith(("https://", "http://")):
            return await self._ask("GET", uri, READ_S, most)
        path = unquote(urlsplit(uri).path) if uri.startswith("file://") else uri
        if not path.startswith("/"):
            raise Permanent(f"{uri[:200]}: gates read https://, http://, file:// and absolute paths")
        return await anyio.to_thread.run_sync(self._read_file, Path(path), most)

    async def fetch(self, uri: str, to: Path) -> None:  # noqa: ARG002 - the port's
        """No model is brought from elsewhere: a gate's command gets the address, and knows how."""
        raise Permanent(f"{uri[:200]}: the loader takes models on this machine; write a command that fetches it")

    async def run(self, manifest: Mapping[str, Any], run_id: str) -> Mapping[str, JsonValue]:
        """Submit a Workflow, once; how it is."""
        row = await self._ground.store.write(partial(self._submitted, manifest=dict(manifest), run_id=run_id))
        self._ground.store.signals.notify("runs")
        outputs = cast("Mapping[str, Any]", row.outputs or {})
        given = {one["name"]: one.get("value") for one in outputs.get("parameters") or ()}
        return {"phase": row.phase, "message": row.message, "parameters": given}

    async def recall(self, key: str) -> JsonValue:
        """The answer that was kept under this key."""

        def work(connection: Connection) -> JsonValue:
            row = memos.get(connection, CACHE, key)
            if row is None:
                return None
            memos.hit(connection, CACHE, key, self._ground.clock.now())
            return dict(row.outputs)

        return await self._ground.store.write(work)

    async def keep(self, key: str, answer: JsonValue) -> None:
        """Keep an answer."""
        row = MemoRow(CACHE, key, "", cast("Mapping[str, Any]", answer), self._ground.clock.now())
        await self._ground.store.write(lambda c: memos.put(c, row))

    def _submitted(self, connection: Connection, manifest: dict[str, Any], run_id: str) -> runs.RunRow:
        if (row := runs.get(connection, run_id)) is None:
            submit(connection, RunRequest(run_id, None, manifest, {}, engine=self._ground.engine), self._ground.clock)
            row = runs.get(connection, run_id)
        assert row is not None
        return row

    def _read_file(self, path: Path, most: int) -> bytes:
        real = path.resolve()
        roots = (self._ground.project.resolve(), self._ground.data.resolve())
        if not any(real.is_relative_to(root) for root in roots):
            raise Permanent(f"{str(path)[:200]} lies neither in the project nor among the platform's data")
        return read_at_most(real, most, str(path)[:200])

    async def _ask(self, method: str, url: str, timeout_s: float, most: int, **more: Any) -> bytes:
        settings = self._ground.http
        check_literal(urlsplit(url).hostname or "", settings.deny, settings.allow)
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.request(method, url, timeout=timeout, allow_redirects=False, **more) as response:
                body = await bounded(response, most)
                _check(response, body)
                return body
        except TimeoutError as error:
            raise Transient(f"{shown(url)}: no answer within {timeout_s:g} s") from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Permanent(f"{shown(url)}: the request cannot be sent: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{shown(url)}: no answer: {error or type(error).__name__}") from None


def _check(response: aiohttp.ClientResponse, body: bytes) -> None:
    status = response.status
    if 200 <= status < 300:
        return
    first = body[:200].decode(errors="replace").partition("\n")[0]
    words = f"{shown(str(response.url))}: answered {status}" + f": {first}" * bool(first)
    if status >= 500 or status in LATER:
        raise Transient(words)
    raise Permanent(words)


@asynccontextmanager
async def open_gate_tools(ground: GateGround) -> AsyncGenerator[GateTools]:
    """Hold the connections of gates while the platform runs."""
    async with open_guarded(ground.http) as session:
        yield GateTools(ground, session)
