"""A Kubernetes API server: how to reach it, listing objects in pages, watching what changes.

The official library reads the kubeconfig or the pod's service account, and keeps tokens fresh. The requests are our
own: its watch blocks a thread, and cannot be stopped.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote

import anyio.to_thread
import orjson
import yaml

from retrain.errors import ConfigError, NotFound, Transient

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

PAGE = 500
WATCH_S = 240
"""Seconds after which the server ends a watch; the next one goes on from there."""
SILENT_S = 300
"""Seconds without a sign of life (the server sends one every minute or so) after which a watch counts as dead."""
TIMEOUT_S = 60.0
MAX_ANSWER = 256 * 1024 * 1024
MAX_LINE = 16 * 1024 * 1024
SAID = 200


class Expired(Exception):
    """What was remembered is too old for the server: it must be listed anew."""


class Cluster:
    """A server that one may ask. `configuration` is the library's."""

    def __init__(self, session: ClientSession, configuration: Any) -> None:
        self._session = session
        self._configuration = configuration
        self._host = str(configuration.host).rstrip("/")

    async def pages(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[tuple[list[dict[str, Any]], str]]:
        """All objects, a page at a time, each with the resourceVersion that the whole list is of.

        Raises:
            Expired: the list has taken so long that the server has forgotten it.
        """
        more: dict[str, str] = {"limit": str(PAGE)}
        while True:
            async with self._get(path, {**query, **more}, TIMEOUT_S) as answer:
                body = _object(await _whole(answer))
            metadata = body.get("metadata") or {}
            kind = {"apiVersion": body.get("apiVersion"), "kind": str(body.get("kind", "")).removesuffix("List")}
            yield [{**kind, **item} for item in body.get("items") or ()], str(metadata.get("resourceVersion", ""))
            if not metadata.get("continue"):
                return
            more["continue"] = str(metadata["continue"])

    async def watch(self, path: str, query: Mapping[str, str], version: str) -> AsyncGenerator[list[dict[str, Any]]]:
        """What has changed after a resourceVersion, as it comes: events, as many as are there. Ends after WATCH_S.

        Raises:
            Expired: the version is too old.
        """
        asked = {
            **query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_S),
            "resourceVersion": version,
        }
        rest = b""
        async with self._get(path, asked, None) as answer:
            yield []  # it watches now
            async for part in answer.content.iter_any():
                *lines, rest = (rest + part).split(b"\n")
                if len(rest) > MAX_LINE:
                    raise Transient(f"{self._host} sends an object of more than {MAX_LINE} bytes")
                if events := [_event(line) for line in lines if line.strip()]:
                    yield events

    @asynccontextmanager
    async def _get(self, path: str, query: Mapping[str, str], total: float | None) -> AsyncGenerator[ClientResponse]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=total, sock_connect=TIMEOUT_S, sock_read=SILENT_S)
        token = await anyio.to_thread.run_sync(_token, self._configuration)
        headers = {"Authorization": token} if token else {}
        try:
            async with self._session.get(
                f"{self._host}{path}", params=query, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise _refusal(self._host, path, answer.status, await answer.content.read(64 * 1024))
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Transient(f"{self._host} cannot be reached: {str(error) or type(error).__name__}") from error


@asynccontextmanager
async def cluster(kubeconfig: str) -> AsyncGenerator[Cluster]:
    """The server that a kubeconfig's text names; without one that of this pod, or of the user's own kubeconfig.

    Raises:
        ConfigError: there is none, or it cannot be read.
    """
    import aiohttp

    configuration = await anyio.to_thread.run_sync(_configuration, kubeconfig)
    tls = await anyio.to_thread.run_sync(_tls, configuration)
    if configuration.tls_server_name:
        raise ConfigError("tls-server-name of a kubeconfig is not built yet; name the server by that host")
    connector = aiohttp.TCPConnector(ssl=tls)
    more: dict[str, Any] = {"proxy": configuration.proxy} if configuration.proxy else {}
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), **more) as session:
        yield Cluster(session, configuration)


def collection(group: str, version: str, resource: str, namespace: str) -> str:
    """The path of all objects of a kind, in one namespace or (empty) in all."""
    parts = ["apis", group, version] if group else ["api", version]
    parts += ["namespaces", namespace, resource] if namespace else [resource]
    return "".join(f"/{quote(part, safe='')}" for part in parts)


# --- the library ---------------------------------------------------------------------------------------------------


def _configuration(kubeconfig: str) -> Any:
    """Blocking: it takes a second to import, and a kubeconfig may name a program that gives the token."""
    from kubernetes import client, config

    made = client.Configuration()
    made.host = ""
    try:
        if kubeconfig:
            read = yaml.safe_load(kubeconfig)
            config.load_kube_config_from_dict(read, client_configuration=made)
        elif "KUBERNETES_SERVICE_HOST" in os.environ and "KUBECONFIG" not in os.environ:
            config.load_incluster_config(client_configuration=made)
        else:
            # As kubectl does; the library reads the variable once for the process, when it is imported.
            config.load_kube_config(os.environ.get("KUBECONFIG") or None, client_configuration=made)
    except (config.ConfigException, yaml.YAMLError, OSError, TypeError, ValueError) as error:
        # What a kubeconfig holds is secret, and the library's errors may quote it.
        raise ConfigError(f"there is no kubeconfig that can be read ({type(error).__name__})") from error
    return made


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


# --- answers -------------------------------------------------------------------------------------------------------


async def _whole(answer: ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER:
            raise Transient(f"a page of {PAGE} objects has more than {MAX_ANSWER} bytes")
    return bytes(body)


def _event(line: bytes) -> dict[str, Any]:
    event = _object(line)
    if event.get("type") == "ERROR":
        status: Any = event.get("object") or {}
        if status.get("code") == 410:
            raise Expired
        raise Transient(f"the watch ended: {str(status.get('message'))[:SAID]}")
    return event


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Transient("the API server sends something else than JSON") from error
    if not isinstance(body, dict):
        raise Transient("the API server sends something else than an object")
    return cast("dict[str, Any]", body)


def _refusal(host: str, path: str, status: int, raw: bytes) -> Exception:
    try:
        said = str(orjson.loads(raw)["message"])[:SAID]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        said = ""
    text = f"{host}{path} answers {status}{': ' if said else ''}{said}"
    if status == 410:
        return Expired()
    if status == 404:
        return NotFound(f"{text} (is there such a resource, in this group and version?)")
    if status in (401, 403, 400, 405, 406, 415, 422):
        return ConfigError(text)
    return Transient(text)
