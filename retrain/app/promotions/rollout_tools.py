"""What checks after a commit ask with on a running platform: clusters, HTTP with the triggers' guard, secrets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import aiohttp
import anyio
import anyio.to_thread

from deploy.rollout.tools import Answer, Cluster, Request, SecretKey, Silent
from retrain import kube
from retrain.app.guarded_http import bounded, open_guarded, shown
from retrain.app.projects.bounded_files import read_at_most
from retrain.errors import ConfigError, Permanent, Transient
from triggers.addresses import check_literal
from triggers.port import Secrets
from triggers.settings import HttpSettings

MOST_CLUSTERS = 32
READ_S = 60.0


@dataclass(frozen=True, slots=True)
class RolloutGround:
    """What the tools stand on. Files are read below `project` only."""

    secrets: Secrets
    project: Path
    http: HttpSettings = field(default_factory=HttpSettings)


class RolloutTools:
    """`deploy.rollout.tools.Outside`. Get one from `open_rollout_tools`."""

    def __init__(self, ground: RolloutGround, session: aiohttp.ClientSession, stack: AsyncExitStack) -> None:
        self._ground = ground
        self._session = session
        self._stack = stack
        self._clusters: dict[str, kube.Cluster] = {}
        self._turn = anyio.Lock()

    async def cluster(self, kubeconfig: SecretKey | None) -> Cluster:
        """The cluster of that kubeconfig, opened once for as long as the kubeconfig stays what it is."""
        text = await self.secret(kubeconfig) if kubeconfig is not None else ""
        key = sha256(text.encode()).hexdigest()
        async with self._turn:
            if key not in self._clusters:
                if len(self._clusters) >= MOST_CLUSTERS:
                    raise ConfigError(f"more than {MOST_CLUSTERS} kubeconfigs are in use; restart to forget old ones")
                self._clusters[key] = await self._stack.enter_async_context(kube.cluster(text))
            return self._clusters[key]

    async def http(self, request: Request) -> Answer:
        """Ask once."""
        settings = self._ground.http
        check_literal(urlsplit(request.url).hostname or "", settings.deny, settings.allow)
        began = monotonic()
        try:
            return await self._asked(request, began)
        except aiohttp.ConnectionTimeoutError as error:
            raise Transient(f"{shown(request.url)}: no connection within {request.timeout_s:g} s") from error
        except TimeoutError as error:
            raise Silent(f"{shown(request.url)}: no answer within {request.timeout_s:g} s") from error
        except (aiohttp.InvalidURL, ValueError) as error:
            raise Permanent(f"{shown(request.url)}: the request cannot be sent: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Transient(f"{shown(request.url)}: no answer: {error or type(error).__name__}") from None

    async def _asked(self, request: Request, began: float) -> Answer:
        timeout = aiohttp.ClientTimeout(total=request.timeout_s, connect=request.timeout_s / 2)
        async with self._session.request(
            request.method,
            request.url,
            data=request.body,
            headers=dict(request.headers),
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            body = await bounded(response, request.most)
            return Answer(response.status, body, monotonic() - began)

    async def secret(self, ref: SecretKey) -> str:
        """A value of a Secret."""
        return await anyio.to_thread.run_sync(self._ground.secrets.secret, ref.name, ref.key)

    async def read(self, file: str, most: int) -> bytes:
        """A file of the project, or what is behind `https://`."""
        if file.startswith(("https://", "http://")):
            try:
                answer = await self.http(Request("GET", file, READ_S, most=most))
            except Silent as error:
                raise Transient(str(error)) from error
            if answer.status != 200:
                raise Transient(f"{shown(file)}: answered {answer.status}")
            return answer.body
        return await anyio.to_thread.run_sync(self._read_file, file, most)

    def _read_file(self, file: str, most: int) -> bytes:
        root = self._ground.project.resolve()
        path = (root / file).resolve()
        if not path.is_relative_to(root):
            raise Permanent(f"{file[:200]} does not lie in the project")
        return read_at_most(path, most, file[:200])


@asynccontextmanager
async def open_rollout_tools(ground: RolloutGround) -> AsyncGenerator[RolloutTools]:
    """Hold the connections of checks while the platform runs."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_guarded(ground.http))
        yield RolloutTools(ground, session, stack)
