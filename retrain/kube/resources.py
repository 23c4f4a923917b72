"""Where a Kubernetes API server has the objects of a kind: paths, and what discovery tells. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from retrain.errors import ConfigError

UNSAFE = frozenset((".", ".."))


@dataclass(frozen=True, slots=True)
class Resource:
    """What the server calls the objects of one kind. `plural` is its name in paths; `verbs` what may be asked of it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    verbs: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def at(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of one object or, without a name, of all; a kind without namespaces ignores that."""
        return path_of(self.group, self.version, self.plural, namespace if self.namespaced else "", name, subresource)


def path_of(group: str, version: str, plural: str, namespace: str = "", name: str = "", subresource: str = "") -> str:
    """The path of an object; without `name` of all of a kind, without `namespace` in all of them.

    Raises:
        ConfigError: a part would lead elsewhere.
    """
    parts = ["apis", group, version] if group else ["api", version]
    parts += ["namespaces", namespace, plural] if namespace else [plural]
    parts += [name] if name else []
    parts += [subresource] if name and subresource else []
    if wrong := UNSAFE.intersection(parts):
        raise ConfigError(f"{sorted(wrong)[0]!r} is no name that an object, a namespace or a resource can have")
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def group_path(api_version: str) -> str:
    """Where discovery lists the resources of an `apiVersion` (`apps/v1`, `v1`).

    Raises:
        ConfigError: it is none.
    """
    group, slash, version = api_version.rpartition("/")
    if not version or (slash and not group) or "/" in group or UNSAFE.intersection((group, version)):
        raise ConfigError(f"{api_version!r} is no apiVersion; write GROUP/VERSION, or v1")
    return "".join(f"/{quote(part, safe='')}" for part in (["apis", group, version] if group else ["api", version]))


def resources_in(api_version: str, listed: Mapping[str, Any]) -> dict[str, Resource]:
    """Of a discovery answer (an APIResourceList) each kind's resource; subresources are left out."""
    group, _, version = api_version.rpartition("/")
    found: dict[str, Resource] = {}
    for one in listed.get("resources") or ():
        plural, kind = str(one.get("name", "")), str(one.get("kind", ""))
        if "/" not in plural and kind not in found:
            verbs = frozenset(map(str, one.get("verbs") or ()))
            found[kind] = Resource(group, version, kind, plural, bool(one.get("namespaced")), verbs)
    return found
