"""Kubeconfigs and service accounts that say all there is to know: read here, without the official library.

The library takes 45 MB and the better part of a second, and most platforms never need it: it is asked only where a
program or a provider gives the token, or several files are to be merged.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from retrain.errors import ConfigError
from retrain.kube.access import Access, Authorization, nobody

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
ELSEWHERE = ("exec", "auth-provider", "as", "as-uid", "as-groups", "as-user-extra")
"""What a user may have that is the library's to do, or to refuse."""


def account_access(host: str, port: str, folder: Path = ACCOUNT) -> Access:
    """As the service account of this pod. Its token changes, so the file is read each time.

    Raises:
        OSError: there is none.
    """
    name = f"[{host}]" if ":" in host else host
    (folder / "token").read_text()
    return Access(
        f"https://{name}:{port}",
        namespace=(folder / "namespace").read_text().strip(),
        authority=(folder / "ca.crt").read_text(),
        authorization=_from_file(folder / "token"),
        waits=True,
    )


def plain_access(read: Any, folder: Path) -> Access | None:
    """What a kubeconfig says; None where the library must be asked. Paths in it start at `folder`.

    Raises:
        ConfigError: it names what it has not.
        OSError, ValueError: a file of it cannot be read.
    """
    if not isinstance(read, dict):
        raise ConfigError("a kubeconfig is a mapping")
    config = cast("dict[str, Any]", read)
    context = _named(config, "contexts", str(config.get("current-context") or ""), "context")
    cluster = _named(config, "clusters", str(context.get("cluster") or ""), "cluster")
    user = _named(config, "users", str(context["user"]), "user") if context.get("user") else {}
    if any(key in user for key in ELSEWHERE):
        return None
    authorization, waits = _authorization(user, folder)
    return Access(
        str(cluster.get("server") or "").rstrip("/"),
        namespace=str(context.get("namespace") or "default"),
        authority=_text(cluster, "certificate-authority", folder),
        certificate=_text(user, "client-certificate", folder),
        key=_text(user, "client-key", folder),
        verified=not cluster.get("insecure-skip-tls-verify"),
        server_name=cluster.get("tls-server-name") or None,
        proxy=cluster.get("proxy-url") or None,
        authorization=authorization,
        waits=waits,
    )


def _named(config: Mapping[str, Any], many: str, name: str, one: str) -> dict[str, Any]:
    for found in config.get(many) or ():
        if found.get("name") == name:
            return dict(found.get(one) or {})
    raise ConfigError(f"the kubeconfig has no {one} {name!r}; its current-context leads there")


def _text(found: Mapping[str, Any], name: str, folder: Path) -> str:
    if data := found.get(f"{name}-data"):
        return base64.b64decode(data, validate=True).decode()
    return (folder / str(path)).read_text() if (path := found.get(name)) else ""


def _authorization(user: Mapping[str, Any], folder: Path) -> tuple[Authorization, bool]:
    if token := user.get("token"):
        header = f"Bearer {token}"
        return lambda: header, False
    if file := user.get("tokenFile"):
        return _from_file(folder / str(file)), True
    if name := user.get("username"):
        both = base64.b64encode(f"{name}:{user.get('password') or ''}".encode()).decode()
        return lambda: f"Basic {both}", False
    return nobody, False


def _from_file(file: Path) -> Authorization:
    return lambda: f"Bearer {file.read_text().strip()}"
