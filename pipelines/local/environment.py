"""The environment of a container, as Kubernetes makes it: declared variables, references, `$(NAME)`. Pure.

Source: https://kubernetes.io/docs/tasks/inject-data-application/ and `$(NAME)` as in
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipelines.core.resources import quantity
from pipelines.local import cgroups
from pipelines.local.leaf import References
from pipelines.local.shapes import Container
from retrain.errors import ConfigError

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE = re.compile(r"\$\$|\$\(([^()]+)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")
_ADDRESS = "127.0.0.1"


def _no_texts() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What a pod knows of itself, for `fieldRef` and `resourceFieldRef`."""

    name: str
    namespace: str
    uid: str
    service_account: str = ""
    labels: Mapping[str, str] = field(default_factory=_no_texts)
    annotations: Mapping[str, str] = field(default_factory=_no_texts)
    containers: tuple[Container, ...] = ()

    def field(self, path: str) -> str:
        """The value of a `fieldPath`.

        Raises:
            ConfigError: a local pod has no such field.
        """
        if found := _KEYED.fullmatch(path):
            return {"labels": self.labels, "annotations": self.annotations}[found[1]].get(found[2], "")
        plain = {
            "metadata.name": self.name,
            "metadata.namespace": self.namespace,
            "metadata.uid": self.uid,
            "spec.nodeName": os.uname().nodename,
            "spec.serviceAccountName": self.service_account or "default",
            "status.hostIP": _ADDRESS,
            "status.hostIPs": _ADDRESS,
            "status.podIP": _ADDRESS,
            "status.podIPs": _ADDRESS,
        }
        if path not in plain:
            raise ConfigError(f"fieldRef: {path!r} is not known of a local step; known are {', '.join(sorted(plain))}")
        return plain[path]

    def listing(self, path: str) -> str:
        """The same for a file of a downwardAPI volume, which may hold all labels or annotations."""
        if path in ("metadata.labels", "metadata.annotations"):
            values = self.labels if path.endswith("labels") else self.annotations
            return "".join(f"{key}={_quoted(values[key])}\n" for key in sorted(values))
        return self.field(path)

    def resource(self, source: Mapping[str, Any], own: str) -> str:
        """The value of a `resourceFieldRef`: whole units of `divisor`, rounded up; what nobody limits is the machine's.

        Raises:
            ConfigError: there is no such container or resource.
        """
        wanted, name = str(source.get("resource", "")), str(source.get("containerName") or own)
        side, _, what = wanted.partition(".")
        container = next((one for one in self.containers if one.get("name") == name), None)
        if container is None or side not in ("limits", "requests") or not what:
            raise ConfigError(f"resourceFieldRef: no {wanted!r} of a container {name!r}")
        resources: Mapping[str, Any] = container.get("resources") or {}
        given = (resources.get(side) or {}).get(what)
        if given is None and side == "requests":
            given = (resources.get("limits") or {}).get(what, 0)
        amount = _allocatable(what) if given is None else quantity(given)
        divisor = quantity(source.get("divisor") or 1) or 1.0
        if amount is None:
            raise ConfigError(f"resourceFieldRef: {wanted!r} of container {name!r} is {given!r}, which is no quantity")
        return str(math.ceil(amount / divisor - 1e-9))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _allocatable(resource: str) -> float:
    if resource == "cpu":
        return cgroups.cores()
    if resource == "memory":
        return cgroups.memory()
    return 0.0


def declared(container: Container, facts: PodFacts, references: References) -> dict[str, str]:
    """`envFrom` and, over it, `env`, with `$(NAME)` of what was declared before.

    Raises:
        ConfigError: a name no variable can have, or a reference to what is not there.
    """
    env: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        env.update(_all_of(source, references))
    for entry in container.get("env") or ():
        name = str(entry.get("name", ""))
        if not _NAME.fullmatch(name):
            raise ConfigError(f"env {name!r}: a variable's name is letters, digits, '_', '-' and '.'")
        if entry.get("valueFrom"):
            value = _referenced(name, entry["valueFrom"], facts, references, str(container.get("name") or "main"))
            if value is not None:
                env[name] = value
        else:
            env[name] = expand("" if entry.get("value") is None else str(entry["value"]), env)
    for name, value in env.items():
        if "\0" in value:
            raise ConfigError(f"env {name!r}: the value has a NUL character, which no program can be given")
    return env


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(NAME)` replaced by the variable's value; `$$(NAME)` is `$(NAME)`; a name that nobody knows stays as it is."""
    if "$" not in text:
        return text

    def value(found: re.Match[str]) -> str:
        return "$" if found[1] is None else env.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def _referenced(
    name: str, source: Mapping[str, Any], facts: PodFacts, references: References, container: str
) -> str | None:
    for key, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if ref := source.get(key):
            keys = references.get((kind, str(ref.get("name", ""))))
            if keys is not None and ref.get("key") in keys:
                return keys[ref["key"]]
            if ref.get("optional"):
                return None
            raise ConfigError(f"env {name}: the project has no {kind} {ref.get('name')!r} with key {ref.get('key')!r}")
    if ref := source.get("fieldRef"):
        return facts.field(str(ref.get("fieldPath", "")))
    if ref := source.get("resourceFieldRef"):
        return facts.resource(ref, container)
    raise ConfigError(f"env {name}: valueFrom.{'/'.join(sorted(source))} is not built for local steps")


def _all_of(source: Mapping[str, Any], references: References) -> dict[str, str]:
    prefix = str(source.get("prefix") or "")
    for key, kind in (("secretRef", "Secret"), ("configMapRef", "ConfigMap")):
        if ref := source.get(key):
            keys = references.get((kind, str(ref.get("name", ""))))
            if keys is None and not ref.get("optional"):
                raise ConfigError(f"envFrom: the project has no {kind} {ref.get('name')!r}")
            # A key that is no name of a variable is passed over, as Kubernetes does.
            named: Iterable[tuple[str, str]] = ((prefix + one, value) for one, value in (keys or {}).items())
            return {one: value for one, value in named if _NAME.fullmatch(one)}
    raise ConfigError(f"envFrom: {'/'.join(sorted(source))} is not built for local steps")
