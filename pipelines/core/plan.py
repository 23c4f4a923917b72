"""What a run is compiled to once: the merged spec, where its templates are, and the variables that do not change.

Source: `setExecWorkflow` of Argo's controller, and workflow/templateresolution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pipelines.checks.unsupported import unsupported_template
from pipelines.core.catalog import TEMPLATE_KINDS, Catalog, config_map_value
from pipelines.core.merge import merged_arguments, merged_spec, merged_template
from pipelines.core.substitute import Unresolved, inert_all, replace
from pipelines.core.variables import Known, Moment
from pipelines.core.workflow_values import (
    Identity,
    argument_value,
    check_label,
    computed_labels,
    named_values,
    parameter_json,
    workflow_values,
    written_metadata,
)
from pipelines.spec import normalize
from retrain.errors import ConfigError

__all__ = ["TEMPLATE_KINDS", "Catalog", "Holder", "Plan", "argument_value", "compile_plan", "config_map_value",
           "merged_arguments", "parameter_json"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Holder:
    """A document that holds templates: `scope` is Argo's name of it, such as `local/my-run`."""

    scope: str
    templates: Mapping[str, Mapping[str, Any]]
    checked: set[str] = field(default_factory=set[str])
    """Templates of another document that were found to be within what we can run."""


def _no_text() -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Plan:
    """A workflow ready to run. Nothing in it changes while it runs; `holders` is a cache."""

    name: str
    uid: str
    namespace: str
    created: datetime
    manifest: Mapping[str, Any]
    spec: Mapping[str, Any]
    """Merged, with what `workflow.*` has filled in everywhere but in the templates."""
    holder: Holder
    catalog: Catalog
    variables: Mapping[str, str]
    holders: dict[tuple[bool, str], Holder] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=_no_text)
    """The run's: of the manifest, of `workflowMetadata`, and computed by `labelsFrom`."""
    annotations: Mapping[str, str] = field(default_factory=_no_text)

    def resolve(self, step: Mapping[str, Any], holder: Holder) -> tuple[Mapping[str, Any], Holder]:
        """The template that a step, a task or a hook names, and where that one's own names are looked up.

        Raises:
            ConfigError: there is none.
        """
        if step.get("inline"):
            return self._with_defaults({"name": "", **step["inline"]}), holder
        ref: Mapping[str, Any] | None = step.get("templateRef")
        if ref:
            holder = self._held(ref)
        name = str((ref or step).get("template", ""))
        template = holder.templates.get(name)
        if template is None:
            raise ConfigError(f"template {name} not found in template {ref['name']}" if ref
                              else f"template name '{name}' undefined")  # fmt: skip
        self._checked(holder, name, template)
        return template, holder

    def _held(self, ref: Mapping[str, Any]) -> Holder:
        key = bool(ref.get("clusterScope")), str(ref.get("name", ""))
        if key not in self.holders:
            scope = f"{'cluster' if key[0] else 'namespaced'}/{key[1]}"
            self.holders[key] = self._hold(scope, normalize(self.catalog.template(ref))["spec"])
        return self.holders[key]

    def _checked(self, holder: Holder, name: str, template: Mapping[str, Any]) -> None:
        if holder is self.holder or name in holder.checked:
            return
        for problem in unsupported_template(template):
            where = ".".join(str(step) for step in problem.path)
            raise ConfigError(f"{holder.scope}: {name}.{where}: {problem.message}")
        holder.checked.add(name)

    def _hold(self, scope: str, spec: Mapping[str, Any]) -> Holder:
        return Holder(scope, {t["name"]: self._with_defaults(t) for t in spec.get("templates") or () if t.get("name")})

    def _with_defaults(self, template: Mapping[str, Any]) -> Mapping[str, Any]:
        merged = merged_template(self.spec.get("templateDefaults"), template)
        if self.spec.get("retryStrategy") is not None and merged.get("retryStrategy") is None:
            return {**merged, "retryStrategy": self.spec["retryStrategy"]}
        return merged


FIRING_LABEL = "retrain.dev/firing"
"""On runs that a trigger has submitted."""


def compile_plan(
    manifest: Mapping[str, Any], *, name: str, uid: str, created: datetime, catalog: Catalog, namespace: str = ""
) -> Plan:
    """A workflow's manifest with its `workflowTemplateRef` merged in.

    Raises:
        ConfigError: it is no workflow, or names what is not there.
    """
    document = normalize(manifest)
    who = Identity(name, namespace or document["metadata"].get("namespace") or "default", uid, created)
    spec = _merged(document["spec"], catalog)
    labels, annotations = (written_metadata(document, spec, kind) for kind in ("labels", "annotations"))
    computed = (spec.get("workflowMetadata") or {}).get("labelsFrom") or {}
    early = {key: value for key, value in labels.items() if key not in computed}
    known = workflow_values(who, spec, early, annotations, catalog)
    fired = FIRING_LABEL in labels
    spec = _filled(spec, known, who, fired)
    labels, annotations = (written_metadata(document, spec, kind) for kind in ("labels", "annotations"))
    for key in (spec.get("workflowMetadata") or {}).get("labels") or ():
        check_label(key, labels[key])
    labels = {**labels, **computed_labels(spec, known, created)}
    known |= named_values("labels", labels) | named_values("annotations", annotations)
    spec = _filled(spec, known, who, fired)
    bare = Plan(name, uid, who.namespace, created, manifest, spec, Holder("", {}), catalog, known)
    scope = "local/" if document["spec"].get("workflowTemplateRef") else f"local/{name}"  # as upstream calls it
    holder = bare._hold(scope, spec)  # pyright: ignore[reportPrivateUsage] - its own class, before it is whole
    return Plan(name, uid, who.namespace, created, manifest, spec, holder, catalog, known,
                labels=labels, annotations=annotations)  # fmt: skip


def _merged(spec: Mapping[str, Any], catalog: Catalog) -> dict[str, Any]:
    ref: Mapping[str, Any] | None = spec.get("workflowTemplateRef")
    if not ref:
        return dict(spec)
    return merged_spec(normalize(catalog.template(ref))["spec"], spec)


def _filled(spec: Mapping[str, Any], known: Mapping[str, str], who: Identity, fired: bool) -> dict[str, Any]:
    """Templates are left: they are filled in when they start, and then know more.

    The arguments of a run that a firing made come from events: an expression in them is not evaluated.
    """
    rest = {key: value for key, value in spec.items() if key != "templates"}
    if fired and rest.get("arguments"):
        rest["arguments"] = inert_all(rest["arguments"])
    try:
        filled = replace(rest, Known(known, Moment(who.created, who.uid)))
    except Unresolved as error:
        raise ConfigError(f"invalid spec: {error}") from error
    return {**filled, "templates": spec.get("templates") or []}
