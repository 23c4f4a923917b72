"""How to reach a Kubernetes API server: a kubeconfig's text, this pod's service account, the user's own kubeconfig.

The official library reads them, and keeps tokens fresh; it stays behind this file.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import yaml

from retrain.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import ClientSession


MOST = 1024
"""Connections at once: each log that somebody follows holds one, and so does each watch."""
POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Connection:
    """A session with the server. `configuration` is the library's; `host` has no slash at its end.

    `namespace`: of the kubeconfig's context, or of this pod.
    """

    session: ClientSession
    configuration: Any
    host: str
    namespace: str = "default"

    @property
    def server_name(self) -> str | None:
        """What the server's certificate must name, where that is not its host."""
        return self.configuration.tls_server_name or None

    async def authorization(self) -> str | None:
        """The header that says who asks; None where a certificate does. A pod's token is read again in time."""
        return await anyio.to_thread.run_sync(_token, self.configuration)


@asynccontextmanager
async def connection(kubeconfig: str) -> AsyncGenerator[Connection]:
    """To the server that a kubeconfig's text names; without one to this pod's, or that of the user's own kubeconfig.

    Nothing is asked of it yet.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    import aiohttp

    configuration, namespace = await anyio.to_thread.run_sync(_configuration, kubeconfig)
    connector = aiohttp.TCPConnector(limit=MOST, ssl=await anyio.to_thread.run_sync(_tls, configuration))
    more: dict[str, Any] = {"proxy": configuration.proxy} if configuration.proxy else {}
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **more) as session:
        yield Connection(session, configuration, str(configuration.host).rstrip("/"), namespace)


def _configuration(kubeconfig: str) -> tuple[Any, str]:
    """The library's configuration, and the namespace.

    Blocking: it takes a second to import, and a kubeconfig may name a program that gives the token.
    """
    try:
        from kubernetes import client, config
    except ImportError as error:
        raise ConfigError("the Kubernetes client is missing: pip install 'retrain[kubernetes]'") from error

    made = client.Configuration()
    made.host, namespace = "", ""
    try:
        if kubeconfig:
            read = yaml.safe_load(kubeconfig)
            config.load_kube_config_from_dict(read, client_configuration=made)
            namespace = _namespace_of(read)
        elif "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=made)
            namespace = POD_NAMESPACE.read_text().strip()
        else:
            # As kubectl does; the library reads the variable once for the process, when it is imported.
            file = os.environ.get("KUBECONFIG") or None
            config.load_kube_config(file, client_configuration=made)
            namespace = (config.list_kube_config_contexts(file)[1].get("context") or {}).get("namespace") or ""
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
        # What a kubeconfig holds is secret, and the library's errors may quote it.
        raise ConfigError(f"there is no kubeconfig that can be read ({type(error).__name__})") from error
    return made, namespace or "default"


def _namespace_of(kubeconfig: Any) -> str:
    current = kubeconfig.get("current-context")
    contexts = (one for one in kubeconfig.get("contexts") or () if one.get("name") == current)
    return next(((one.get("context") or {}).get("namespace") or "" for one in contexts), "")


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if configuration.cert_file:
        try:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        except (ssl.SSLError, OSError) as error:
            raise ConfigError("the kubeconfig's client certificate and key cannot be read") from error
    return context


def _token(configuration: Any) -> str | None:
    token = configuration.get_api_key_with_prefix("BearerToken", "authorization")
    if not token:
        return configuration.get_basic_auth_token() if configuration.username else None
    return token
