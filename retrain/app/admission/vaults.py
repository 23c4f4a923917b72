"""Where the webhook's keys are kept: a Secret that all replicas share, or a file of the data directory."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import anyio.to_thread
import orjson

from retrain.app.admission.certificates import Keys, Pair
from retrain.errors import NotFound
from retrain.kube import AlreadyExists, Cluster, Conflict, path_of

FIELDS = ("ca.crt", "ca.key", "tls.crt", "tls.key", "trusted.crt")
"""How the parts are named in a Secret and in the file."""
LABELS = {"app.kubernetes.io/managed-by": "retrain"}
Open = Callable[[], Awaitable[Cluster]]


class Vault(Protocol):
    """Keeps keys. `save` gives what is kept from now on: somebody else's, where those were quicker."""

    async def load(self) -> Keys | None: ...
    async def save(self, keys: Keys) -> Keys: ...


class FileVault:
    """A file that this user alone can read; replaced as a whole."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def load(self) -> Keys | None:
        """What is there; None where it cannot be read."""
        return await anyio.to_thread.run_sync(self._load)

    async def save(self, keys: Keys) -> Keys:
        """Keep these."""
        await anyio.to_thread.run_sync(self._save, keys)
        return keys

    def _load(self) -> Keys | None:
        try:
            return _keys(orjson.loads(self._file.read_bytes()))
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None

    def _save(self, keys: Keys) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_suffix(".new")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps(_fields(keys)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)


class SecretVault:
    """A Secret. Of replicas that make keys at the same time one has its way, and the others take those."""

    def __init__(self, open_cluster: Open, name: str, namespace: str | None = None) -> None:
        self._open = open_cluster
        self._name = name
        self._namespace = namespace
        self._version = ""

    async def load(self) -> Keys | None:
        """What the Secret holds; None where it is not there, or holds something else."""
        server = await self._open()
        try:
            found = await server.get(self._path(server, self._name))
        except NotFound:
            self._version = ""
            return None
        self._version = str(found["metadata"]["resourceVersion"])
        return _keys(_decoded(found.get("data") or {}))

    async def save(self, keys: Keys) -> Keys:
        """Write it, unless another replica has done so since `load`.

        Raises:
            Conflict: somebody writes it again and again.
        """
        server = await self._open()
        try:
            stored = await self._put(server, keys)
        except (Conflict, AlreadyExists):
            found = await self.load()
            if found is not None:
                return found
            stored = await self._put(server, keys)
        self._version = str(stored["metadata"]["resourceVersion"])
        return keys

    async def _put(self, server: Cluster, keys: Keys) -> dict[str, Any]:
        data = {name: b64encode(text.encode()).decode() for name, text in _fields(keys).items()}
        metadata: dict[str, Any] = {"name": self._name, "labels": LABELS}
        body = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}
        if not self._version:
            return await server.create(self._path(server), body)
        metadata["resourceVersion"] = self._version
        return await server.replace(self._path(server, self._name), body)

    def _path(self, server: Cluster, name: str = "") -> str:
        return path_of("", "v1", "secrets", self._namespace or server.namespace, name)


def _fields(keys: Keys) -> dict[str, str]:
    parts = (keys.authority.cert, keys.authority.key, keys.server.cert, keys.server.key, keys.trusted)
    return dict(zip(FIELDS, parts, strict=True))


def _keys(fields: Mapping[str, Any]) -> Keys | None:
    parts = [fields.get(name) for name in FIELDS]
    ca, ca_key, cert, key, trusted = (part if isinstance(part, str) else "" for part in parts)
    if not all((ca, ca_key, cert, key)):
        return None
    return Keys(Pair(ca, ca_key), Pair(cert, key), trusted)


def _decoded(data: Mapping[str, Any]) -> dict[str, str]:
    try:
        return {name: b64decode(str(text)).decode() for name, text in data.items()}
    except (NotBase64, UnicodeDecodeError):
        return {}
