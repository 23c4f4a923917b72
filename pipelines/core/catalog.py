"""The documents beside a workflow that it may name: templates, ConfigMaps, and the names of Secrets.

Source: workflow/templateresolution of Argo Workflows, `GetConfigMapValue` in workflow/common/configmap.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from pipelines.core.substitute import replace
from pipelines.core.variables import Lookup, Variables
from retrain.errors import ConfigError

TEMPLATE_KINDS = {"WorkflowTemplate": False, "ClusterWorkflowTemplate": True}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Templates by (cluster-wide, name), ConfigMaps by name. `config_maps` may be live: a step may have written one."""

    templates: Mapping[tuple[bool, str], Mapping[str, Any]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Collection[str] = frozenset()
    """Names only: what is in them is for the steps that ask for it."""

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]]) -> Catalog:
        """From manifests; kinds that no workflow names are passed over."""
        templates: dict[tuple[bool, str], Mapping[str, Any]] = {}
        config_maps: dict[str, Mapping[str, str]] = {}
        secrets: set[str] = set()
        for document in documents:
            kind, name = document.get("kind"), (document.get("metadata") or {}).get("name")
            if not name:
                continue
            if kind in TEMPLATE_KINDS:
                templates[TEMPLATE_KINDS[kind], str(name)] = document
            elif kind == "ConfigMap":
                data: Mapping[str, Any] = document.get("data") or {}
                config_maps[str(name)] = {key: str(value) for key, value in data.items()}
            elif kind == "Secret":
                secrets.add(str(name))
        return cls(templates, config_maps, frozenset(secrets))

    def needed_by(self, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The documents that a workflow names, and those that they name: what its run keeps, so that a later edit of
        a template changes later runs only. `Catalog.of` reads them back.
        """
        found: dict[tuple[str, str], dict[str, Any]] = {}
        waiting: list[Any] = [manifest]
        while waiting:
            for kind, name in _references(waiting.pop()):
                document = self._document(kind, name)
                if document is not None and (kind, name) not in found:
                    found[kind, name] = document
                    waiting.append(document)
        return list(found.values())

    def _document(self, kind: str, name: str) -> dict[str, Any] | None:
        if kind == "ConfigMap":
            data = self.config_maps.get(name)
            return None if data is None else {"kind": kind, "metadata": {"name": name}, "data": dict(data)}
        document = self.templates.get((TEMPLATE_KINDS[kind], name))
        return None if document is None else dict(document)

    def template(self, ref: Mapping[str, Any]) -> Mapping[str, Any]:
        """The document that a `templateRef` or `workflowTemplateRef` names.

        Raises:
            ConfigError: it is not there.
        """
        cluster, name = bool(ref.get("clusterScope")), str(ref.get("name", ""))
        document = self.templates.get((cluster, name))
        if document is None:
            kind = "clusterworkflowtemplates" if cluster else "workflowtemplates"
            raise ConfigError(f'{kind}.argoproj.io "{name}" not found')
        return document


def _references(value: Any) -> Iterator[tuple[str, str]]:
    """(kind, name) of every template and ConfigMap that a manifest names anywhere."""
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack += cast("list[Any]", one)
        elif isinstance(one, Mapping):
            for key, inner in cast("Mapping[str, Any]", one).items():
                if isinstance(inner, Mapping) and isinstance(name := cast("Mapping[str, Any]", inner).get("name"), str):
                    if key in {"templateRef", "workflowTemplateRef"}:
                        yield ("ClusterWorkflowTemplate" if inner.get("clusterScope") else "WorkflowTemplate"), name
                    elif key == "configMapKeyRef":
                        yield "ConfigMap", name
                stack.append(inner)


def config_map_value(source: Mapping[str, Any], catalog: Catalog, lookup: Variables | Lookup) -> str:
    """The text that `configMapKeyRef: {name, key}` points at, or `default`.

    Raises:
        ConfigError: neither is there.
        Unresolved: its name or key reads what is not there.
    """
    ref = replace(source["configMapKeyRef"], lookup)
    data = catalog.config_maps.get(str(ref.get("name", "")))
    value = None if data is None else data.get(str(ref.get("key", "")))
    if value is not None:
        return value
    if source.get("default") is not None:
        return source["default"]
    missing = "exist" if data is None else f"have the key '{ref.get('key')}'"
    raise ConfigError(f"ConfigMap '{ref.get('name')}' does not {missing}")
