"""The webhook as a part of the platform: its keys kept fresh, its certificate shown, its authority made known."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import structlog
from anyio.abc import TaskStatus

from retrain.app.admission.bundles import tell
from retrain.app.admission.certificates import Keys, Lives, Pair, fresh, next_due
from retrain.app.admission.door import Door
from retrain.app.admission.vaults import Open, Vault
from retrain.app.parts import PartState
from retrain.clock import Clock
from retrain.errors import RetrainError
from retrain.serving import Server, bind

log = structlog.get_logger()

LOOK_S = 60.0
"""Seconds between two looks at keys and configuration: others may have changed them."""
SETTLE_S = 5.0
DEFAULT_LIVES = Lives()
FIRST_S, LAST_S = 1.0, 30.0
"""Seconds until it is tried again, where it failed: the first and the longest pause."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """How it is served. `names`: by which the API server calls it; none: those of `service` in our namespace.
    `configuration`: that of the cluster's webhooks. `settle_s`: until an API server has heard whom to trust."""

    host: str
    port: int
    configuration: str
    service: str
    names: Sequence[str] = ()
    lives: Lives = DEFAULT_LIVES
    look_s: float = LOOK_S
    settle_s: float = SETTLE_S


@dataclass(slots=True)
class Admission:
    """Serves reviews once it has keys, whatever the cluster says of its configuration."""

    wanted: Wanted
    vault: Vault
    open_cluster: Open
    clock: Clock
    door: Door = field(default_factory=Door)
    waiting_for: str | None = "its first keys"
    url: str | None = None
    _keys: Keys | None = None
    _shown: Pair | None = None
    _tls: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def state(self) -> PartState:
        """For `/readyz`. Never vital: events come in without it."""
        return PartState("admission webhook", self.waiting_for is None, self.waiting_for)

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled.

        Raises:
            ConfigError: the port is taken.
        """
        listener = bind(self.wanted.host, self.wanted.port)
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        server = Server(self.door, listener, tls=self._tls)
        self.url = server.url
        task_status.started()
        async with anyio.create_task_group() as group:
            pause = FIRST_S
            while self._shown is None:  # nobody can be answered without a certificate
                await anyio.sleep(0 if await self._look() else pause)
                pause = min(pause * 2, LAST_S)
            await group.start(server.run)
            log.info("admission.serving", url=server.url)
            await self._keep_up()

    async def _keep_up(self) -> None:
        pause = FIRST_S
        while True:
            await anyio.sleep(self._rest() if self.waiting_for is None else pause)
            pause = FIRST_S if await self._look() else min(pause * 2, LAST_S)

    def _rest(self) -> float:
        """Seconds until something is due."""
        if self._keys is None:
            return FIRST_S
        due = (next_due(self._keys) - self.clock.now()).total_seconds()
        return max(FIRST_S, min(due, self.wanted.look_s))

    async def _look(self) -> bool:
        """Put everything right once; whether it is."""
        try:
            trouble = await self._put_right()
        except RetrainError as error:
            trouble = str(error)
        if trouble != self.waiting_for:
            if trouble is not None:
                log.warning("admission.waiting", reason=trouble)
            self.waiting_for = trouble
        return trouble is None

    async def _put_right(self) -> str | None:
        """Keys, then whom to trust, then what is shown: nobody sees a certificate that is not trusted yet."""
        found = await self.vault.load()
        keys = fresh(found, await self._names(), self.clock.now(), self.wanted.lives)
        if keys != found:
            keys = await self.vault.save(keys)
            log.info("admission.keys_made", due=next_due(keys).isoformat())
        self._keys = keys
        if self._shown is None:
            self._show(keys.server)  # nobody trusts another one yet
        told = await tell(await self.open_cluster(), self.wanted.configuration, keys.bundle)
        if told.changed and keys.server != self._shown:
            await anyio.sleep(self.wanted.settle_s)
        if told.missing is None:
            self._show(keys.server)
        return told.missing

    async def _names(self) -> Sequence[str]:
        if self.wanted.names:
            return self.wanted.names
        here = f"{self.wanted.service}.{(await self.open_cluster()).namespace}.svc"
        return [here, f"{here}.cluster.local"]

    def _show(self, pair: Pair) -> None:
        """Connections from now on see this certificate."""
        if pair == self._shown:
            return
        with tempfile.TemporaryDirectory(prefix="retrain-tls-") as folder:  # made with mode 0700
            cert, key = Path(folder, "cert.pem"), Path(folder, "key.pem")
            cert.write_text(pair.cert)
            key.touch(mode=0o600)
            key.write_text(pair.key)
            self._tls.load_cert_chain(cert, key)
        if self._shown is not None:
            log.info("admission.certificate_changed")
        self._shown = pair
