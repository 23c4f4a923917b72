"""How to reach a Kubernetes API server: a kubeconfig's text, this pod's service account, the user's own kubeconfig.

Where a program or a provider gives the token, the official library asks it; the library stays behind this file.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import yaml

from retrain.errors import ConfigError
from retrain.kube.access import Access
from retrain.kube.plain_config import account_access, plain_access

if TYPE_CHECKING:
    from aiohttp import ClientSession

MOST = 1024
"""Connections at once: each log that somebody follows holds one, and so does each watch."""
OWN = Path("~/.kube/config")


@dataclass(frozen=True, slots=True)
class Connection:
    """A session with the server."""

    session: ClientSession
    access: Access

    @property
    def host(self) -> str:
        return self.access.host

    @property
    def namespace(self) -> str:
        """Of the kubeconfig's context, or of this pod."""
        return self.access.namespace

    @property
    def server_name(self) -> str | None:
        """What the server's certificate must name, where that is not its host."""
        return self.access.server_name

    async def authorization(self) -> str | None:
        """The header that says who asks; None where a certificate does. A pod's token is read again in time.

        Raises:
            ConfigError: what should give the token does not.
        """
        if not self.access.waits:
            return self.access.authorization()
        try:
            return await anyio.to_thread.run_sync(self.access.authorization)
        except OSError as error:
            raise ConfigError(f"the token for {self.host} cannot be read: {error.strerror}") from error


@asynccontextmanager
async def connection(kubeconfig: str) -> AsyncGenerator[Connection]:
    """To the server that a kubeconfig's text names; without one to this pod's, or that of the user's own kubeconfig.

    Nothing is asked of it yet.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    import aiohttp

    access = await anyio.to_thread.run_sync(_access, kubeconfig)
    connector = aiohttp.TCPConnector(limit=MOST, ssl=await anyio.to_thread.run_sync(access.tls))
    more: dict[str, Any] = {"proxy": access.proxy} if access.proxy else {}
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **more) as session:
        yield Connection(session, access)


def _access(kubeconfig: str) -> Access:
    """Blocking: a kubeconfig may name a program that gives the token."""
    try:
        if kubeconfig:
            read = yaml.safe_load(kubeconfig)
            return plain_access(read, Path()) or _by_library(read, None)
        if "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            return account_access(
                os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT", "443")
            )
        files = os.environ.get("KUBECONFIG") or str(OWN.expanduser())
        if os.pathsep in files:  # as kubectl does: they are merged
            return _by_library(None, files)
        read = yaml.safe_load(Path(files).read_text())
        return plain_access(read, Path(files).parent) or _by_library(None, files)
    except (yaml.YAMLError, OSError, TypeError, ValueError) as error:
        # What a kubeconfig holds is secret, and errors may quote it.
        raise ConfigError(f"there is no kubeconfig that can be read ({type(error).__name__})") from error


def _by_library(read: Any, files: str | None) -> Access:
    """What the official library makes of it. It takes a second to import."""
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigError("the Kubernetes client is missing: pip install 'retrain[kubernetes]'") from error

    made = client.Configuration()
    made.host = ""
    try:
        if read is not None:
            config.load_kube_config_from_dict(read, client_configuration=made)
            context = _context_of(read)
        else:
            config.load_kube_config(files, client_configuration=made)
            context = config.list_kube_config_contexts(files)[1].get("context") or {}
    except config.ConfigException as error:
        raise ConfigError(f"there is no kubeconfig that can be read ({type(error).__name__})") from error
    return Access(
        str(made.host).rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        authority=_read(made.ssl_ca_cert),
        certificate=_read(made.cert_file),
        key=_read(made.key_file),
        verified=bool(made.verify_ssl),
        server_name=made.tls_server_name or None,
        proxy=made.proxy,
        authorization=lambda: _token(made),
        waits=True,
    )


def _context_of(kubeconfig: Any) -> dict[str, Any]:
    current = kubeconfig.get("current-context")
    contexts = (one for one in kubeconfig.get("contexts") or () if one.get("name") == current)
    return next((dict(one.get("context") or {}) for one in contexts), {})


def _read(file: Any) -> str:
    return Path(str(file)).read_text() if file else ""


def _token(configuration: Any) -> str | None:
    token = configuration.get_api_key_with_prefix("BearerToken", "authorization")
    if not token:
        return configuration.get_basic_auth_token() if configuration.username else None
    return token
