"""What a run is compiled to once: the merged spec, where its templates are, and the variables that do not change.

Source: `setExecWorkflow`, `setGlobalParameters`, `mergedTemplateDefaultsInto` of Argo's controller, and
workflow/templateresolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from pipelines.checks.unsupported import unsupported_template
from pipelines.core.naming import go_json
from pipelines.core.nodes import to_rfc3339
from pipelines.core.substitute import Found, Lookup, replace
from pipelines.spec import normalize
from retrain.errors import ConfigError

TEMPLATE_KINDS = {"WorkflowTemplate": False, "ClusterWorkflowTemplate": True}
TYPES = ("container", "script", "steps", "dag", "suspend", "containerSet", "resource", "data", "http", "plugin")
_STRFTIME = "aAbBcCdDeFgGhHIjklmMnNpPrRsStTuUVwWxXyYzZ"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The documents beside a workflow that it may name: templates by (cluster-wide, name), ConfigMaps by name."""

    templates: Mapping[tuple[bool, str], Mapping[str, Any]] = field(default_factory=dict)
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]]) -> Catalog:
        """From manifests; kinds that no workflow names are passed over."""
        templates: dict[tuple[bool, str], Mapping[str, Any]] = {}
        config_maps: dict[str, Mapping[str, str]] = {}
        for document in documents:
            kind, name = document.get("kind"), (document.get("metadata") or {}).get("name")
            if kind in TEMPLATE_KINDS and name:
                templates[TEMPLATE_KINDS[kind], str(name)] = document
            elif kind == "ConfigMap" and name:
                data: Mapping[str, Any] = document.get("data") or {}
                config_maps[str(name)] = {key: str(value) for key, value in data.items()}
        return cls(templates, config_maps)

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


@dataclass(frozen=True, slots=True)
class Holder:
    """A document that holds templates: `scope` is Argo's name of it, such as `local/my-run`."""

    scope: str
    templates: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow ready to run. Nothing in it changes while it runs; `holders` is a cache."""

    name: str
    uid: str
    namespace: str
    created: datetime
    manifest: Mapping[str, Any]
    spec: Mapping[str, Any]
    holder: Holder
    catalog: Catalog
    variables: Mapping[str, str]
    holders: dict[tuple[bool, str], Holder] = field(default_factory=dict)

    def resolve(self, step: Mapping[str, Any], holder: Holder) -> tuple[Mapping[str, Any], Holder]:
        """The template that a step, a task or a hook names, and where that one's own names are looked up.

        Raises:
            ConfigError: there is none.
        """
        if step.get("inline"):
            return self._with_defaults({"name": "", **step["inline"]}), holder
        ref: Mapping[str, Any] | None = step.get("templateRef")
        if ref:
            holder = self._held(bool(ref.get("clusterScope")), str(ref.get("name", "")))
        name = str((ref or step).get("template", ""))
        template = holder.templates.get(name)
        for problem in unsupported_template(template) if template is not None and holder is not self.holder else ():
            raise ConfigError(f"{holder.scope}: {name}.{'.'.join(str(s) for s in problem.path)}: {problem.message}")
        if template is None:
            raise ConfigError(f"template {name} not found in {'template ' + str(ref['name']) if ref else 'workflow'}"
                              if ref else f"template name '{name}' undefined")  # fmt: skip
        return template, holder

    def _held(self, cluster: bool, name: str) -> Holder:
        if (cluster, name) not in self.holders:
            document = self.catalog.templates.get((cluster, name))
            kind = "clusterworkflowtemplates" if cluster else "workflowtemplates"
            if document is None:
                raise ConfigError(f'{kind}.argoproj.io "{name}" not found')
            scope = f"{'cluster' if cluster else 'namespaced'}/{name}"
            self.holders[cluster, name] = self._hold(scope, normalize(document)["spec"])
        return self.holders[cluster, name]

    def _hold(self, scope: str, spec: Mapping[str, Any]) -> Holder:
        return Holder(scope, {t["name"]: self._with_defaults(t) for t in spec.get("templates") or () if t.get("name")})

    def _with_defaults(self, template: Mapping[str, Any]) -> Mapping[str, Any]:
        merged = _template_over(self.spec.get("templateDefaults"), template)
        if self.spec.get("retryStrategy") is not None and merged.get("retryStrategy") is None:
            return {**merged, "retryStrategy": self.spec["retryStrategy"]}
        return merged


def compile_plan(
    manifest: Mapping[str, Any], *, name: str, uid: str, created: datetime, catalog: Catalog, namespace: str = ""
) -> Plan:
    """A workflow's manifest with its `workflowTemplateRef` merged in.

    Raises:
        ConfigError: it is no workflow, or names what is not there.
    """
    document = normalize(manifest)
    spec = _merged(document["spec"], catalog)
    namespace = namespace or document["metadata"].get("namespace") or "default"
    metadata = _metadata(document, spec)
    bare = Plan(name, uid, namespace, created, manifest, spec, Holder("", {}), catalog, {})
    holder = bare._hold(f"local/{name}", spec)  # pyright: ignore[reportPrivateUsage] - its own class, before it is whole
    variables = _variables(bare, metadata)
    unchanging = {key: value for key, value in spec.items() if key != "templates"}
    spec = {**replace(unchanging, variables.get), "templates": spec.get("templates") or []}
    return Plan(name, uid, namespace, created, manifest, spec, holder, catalog, variables)


def _merged(spec: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    ref: Mapping[str, Any] | None = spec.get("workflowTemplateRef")
    if not ref:
        return dict(spec)
    cluster = bool(ref.get("clusterScope"))
    document = catalog.templates.get((cluster, str(ref.get("name", ""))))
    if document is None:
        kind = "clusterworkflowtemplates" if cluster else "workflowtemplates"
        raise ConfigError(f'{kind}.argoproj.io "{ref.get("name")}" not found')
    base: Mapping[str, Any] = normalize(document)["spec"]
    merged = _over(base, {key: value for key, value in spec.items() if key != "arguments"})
    merged["arguments"] = merged_arguments(base.get("arguments") or {}, spec.get("arguments") or {})
    return merged


def merged_arguments(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters and artifacts by name, the second ones win."""
    out: dict[str, Any] = {}
    for kind in ("parameters", "artifacts"):
        named = {p["name"]: p for p in base.get(kind) or ()}
        for item in over.get(kind) or ():
            kept = {k: v for k, v in named.get(item["name"], {}).items() if k not in ("value", "valueFrom")}
            named[item["name"]] = {**kept, **item}
        if named:
            out[kind] = list(named.values())
    return out


def _over(base: Any, over: Any) -> Any:
    """A deep merge, the second wins; lists are replaced."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: _over(base[key], value) if key in base else value for key, value in over.items()}}


def _template_over(defaults: Mapping[str, Any] | None, template: Mapping[str, Any]) -> Mapping[str, Any]:
    """`templateDefaults` under a template: what is of another type than the template's is left out."""
    if not defaults:
        return template
    fitting = {key: value for key, value in defaults.items() if key not in TYPES or key in template}
    return _over(fitting, dict(template))


def _metadata(document: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    more: Mapping[str, Any] = spec.get("workflowMetadata") or {}
    return {
        key: {k: str(v) for k, v in {**(document["metadata"].get(key) or {}), **(more.get(key) or {})}.items()}
        for key in ("labels", "annotations")
    }


def _variables(plan: Plan, metadata: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    spec, created = plan.spec, plan.created
    parameters: list[Mapping[str, Any]] = (spec.get("arguments") or {}).get("parameters") or []
    known = {
        "workflow.name": plan.name,
        "workflow.namespace": plan.namespace,
        "workflow.uid": plan.uid,
        "workflow.mainEntrypoint": str(spec.get("entrypoint") or ""),
        "workflow.serviceAccountName": str(spec.get("serviceAccountName") or ""),
        "workflow.creationTimestamp": to_rfc3339(created) or "",
        "workflow.creationTimestamp.RFC3339": to_rfc3339(created) or "",
        "workflow.parameters": go_json(parameters),
        "workflow.parameters.json": go_json(parameters),
    }
    known |= {f"workflow.creationTimestamp.{char}": created.strftime(f"%{char}") for char in _STRFTIME}
    known["workflow.creationTimestamp.s"] = str(int(created.timestamp()))
    if spec.get("priority") is not None:
        known["workflow.priority"] = str(spec["priority"])
    for key, values in metadata.items():
        known |= {f"workflow.{key}": go_json(values, sort=True), f"workflow.{key}.json": go_json(values, sort=True)}
        known |= {f"workflow.{key}.{k}": v for k, v in values.items()}
    scheduled = metadata["annotations"].get("workflows.argoproj.io/scheduled-time")
    if scheduled is not None:
        known["workflow.scheduledTime"] = scheduled
    for parameter in parameters:
        known[f"workflow.parameters.{parameter['name']}"] = argument_value(parameter, plan.catalog)
    return known


def argument_value(parameter: Mapping[str, Any], catalog: Catalog) -> str:
    """What a parameter of `spec.arguments` is.

    Raises:
        ConfigError: nothing says.
    """
    if parameter.get("value") is not None:
        return parameter["value"]
    source: Mapping[str, Any] = parameter.get("valueFrom") or {}
    if source.get("configMapKeyRef"):
        return config_map_value(source, catalog, _nothing)
    if parameter.get("default") is not None:
        return parameter["default"]
    name = parameter["name"]
    raise ConfigError(f"spec.arguments.{name}.value or spec.arguments.{name}.valueFrom is required")


def _nothing(_tag: str) -> Found:
    return None


def config_map_value(source: Mapping[str, Any], catalog: Catalog, lookup: Lookup) -> str:
    """The text that `configMapKeyRef: {name, key}` points at, or `default`.

    Raises:
        ConfigError: neither is there.
    """
    ref = replace(source["configMapKeyRef"], lookup)
    data = catalog.config_maps.get(str(ref.get("name", "")))
    value = None if data is None else data.get(str(ref.get("key", "")))
    if value is not None:
        return value
    if source.get("default") is not None:
        return source["default"]
    missing = f"key '{ref.get('key')}' in ConfigMap '{ref.get('name')}'" if data is not None else (
        f"ConfigMap '{ref.get('name')}'"
    )  # fmt: skip
    raise ConfigError(f"failed to retrieve parameter from configmap: {missing} not found")
