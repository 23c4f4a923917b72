"""The outputs of `steps` and `dag` templates, and what any template exports to the whole workflow.

Source: `getTemplateOutputsFromScope`, `addParamToGlobalScope`, `addArtifactToGlobalScope` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.core.artifacts import ArtifactUnresolved, exported_artifact, is_handed_on, resolve_artifact
from pipelines.core.expressions import evaluate_value
from pipelines.core.naming import go_json
from pipelines.core.nodes import NO_OUTPUTS, Artifact, Outputs
from pipelines.core.substitute import Unresolved, replace, revived, sole_tag
from pipelines.core.variables import ABSENT, Lookup, Variables, variables_of
from retrain.errors import ConfigError


def template_outputs(template: Mapping[str, Any], scope: Variables | Lookup) -> Outputs:
    """What a `steps` or `dag` template declares, from what its steps gave.

    Raises:
        ConfigError: one cannot be had.
        Unresolved: one reads what is not there.
    """
    declared: Mapping[str, Any] = template.get("outputs") or {}
    if not declared:
        return NO_OUTPUTS
    variables = variables_of(scope)
    parameters: Sequence[Mapping[str, Any]] = declared.get("parameters") or ()
    artifacts: Sequence[Artifact] = declared.get("artifacts") or ()
    found = [one for artifact in artifacts if (one := _artifact(artifact, variables)) is not None]
    return Outputs({p["name"]: _parameter(p, variables) for p in parameters}, artifacts=tuple(found))


def _parameter(parameter: Mapping[str, Any], scope: Variables) -> str:
    source: Mapping[str, Any] | None = parameter.get("valueFrom")
    if source is None:
        if parameter.get("value") is not None:
            return parameter["value"]
        raise ConfigError("output parameters must have a valueFrom specified")
    default: str | None = source.get("default")
    try:
        found = _expression(str(source["expression"]), scope) if source.get("expression") else _read(source, scope)
    except (Unresolved, ConfigError):
        if default is None:
            raise
        return default
    if found is not ABSENT:
        return found
    if default is not None:
        return default
    raise ConfigError(f'output parameter "{parameter["name"]}": "{source.get("parameter")}" is an absent optional '
                      "(skipped/omitted node output with no default)")  # fmt: skip


def _expression(text: str, scope: Variables) -> str:
    found = evaluate_value(text, scope)
    if found is None:
        raise ConfigError(f'failed to evaluate expression "{text}"')
    return found if isinstance(found, str) else go_json(found, sort=True)


def _read(source: Mapping[str, Any], scope: Variables) -> Any:
    text = str(source.get("parameter") or "")
    tag = sole_tag(text) if "{{" in text else text
    if tag is None:
        return revived(replace(text, scope, all_strict=True))
    found = scope(tag) if tag else ""
    if found is None:
        raise ConfigError(f'Unable to resolve: "{tag}"')
    return found


def _artifact(artifact: Artifact, scope: Variables) -> Artifact | None:
    if not is_handed_on(artifact):
        return None
    try:
        return resolve_artifact(artifact, scope)
    except (ArtifactUnresolved, Unresolved) as error:
        if artifact.get("optional"):
            return None
        raise ConfigError(f"unable to resolve outputs from scope: {error}") from error


def constant_parameters(template: Mapping[str, Any]) -> dict[str, str]:
    """Output parameters of a leaf that need no file: those with a `value`, filled in when the leaf started."""
    declared: Sequence[Mapping[str, Any]] = (template.get("outputs") or {}).get("parameters") or ()
    return {p["name"]: p["value"] for p in declared if p.get("value") is not None and not p.get("valueFrom")}


def exported(template: Mapping[str, Any], outputs: Outputs) -> tuple[dict[str, str], dict[str, Artifact]]:
    """(parameters, artifacts) by the `globalName` that the template declares for them."""
    declared: Mapping[str, Any] = template.get("outputs") or {}
    parameters: dict[str, str] = {}
    artifacts: dict[str, Artifact] = {}
    for parameter in declared.get("parameters") or ():
        value = outputs.parameters.get(parameter["name"])
        if parameter.get("globalName") and value is not None:
            parameters[parameter["globalName"]] = value
    names = {a["name"]: a["globalName"] for a in declared.get("artifacts") or () if a.get("globalName")}
    for artifact in outputs.artifacts:
        if artifact["name"] in names:
            artifacts[names[artifact["name"]]] = exported_artifact(names[artifact["name"]], artifact)
    return parameters, artifacts
