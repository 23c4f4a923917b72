"""The arguments of a step, a task or a hook, from what the scope around it knows.

Source: `resolveReferences`, `resolveDependencyReferences` and `markAbsentOptionalArgs` of Argo's controller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.core.artifacts import ArtifactUnresolved, is_handed_on, resolve_artifact
from pipelines.core.nodes import Artifact
from pipelines.core.substitute import Unresolved, replace, sole_tag
from pipelines.core.variables import ABSENT, Lookup, Variables, variables_of

STRICT = ("steps", "tasks")
"""What is named so must be there: a tag that stayed would be run as it is."""


class _NotGiven(str):
    """The text that stands for an argument without a value: known by what it is, never by how it reads."""

    __slots__ = ()


ABSENT_ARGUMENT: Final = _NotGiven("<absent>")


def resolve_arguments(arguments: Mapping[str, Any], scope: Variables | Lookup) -> Mapping[str, Any]:
    """Arguments with every tag filled in and every artifact located.

    An argument that is just a skipped step's output counts as not given: the input's default holds.

    Raises:
        Unresolved: one reads an output that is not there, or has it in a longer text and it is absent.
        ConfigError: an artifact that is not optional is not there.
    """
    variables = variables_of(scope)
    filled: Mapping[str, Any] = replace(mark_absent(arguments, variables), variables, strict=STRICT)
    given: Sequence[Artifact] = filled.get("artifacts") or ()
    if not any(is_handed_on(one) for one in given):
        return filled
    return {**filled, "artifacts": located(given, variables)}


def located(artifacts: Sequence[Artifact], scope: Variables) -> list[Artifact]:
    """Each with where it lies; an optional one that is not there is left out."""
    found: list[Artifact] = []
    for artifact in artifacts:
        if not is_handed_on(artifact):
            found.append(artifact)
            continue
        try:
            resolved = resolve_artifact(artifact, scope)
        except (ArtifactUnresolved, Unresolved):
            if artifact.get("optional"):
                continue
            raise
        found.append({**resolved, "optional": True} if artifact.get("optional") else resolved)
    return found


def mark_absent(arguments: Mapping[str, Any], lookup: Variables | Lookup) -> Mapping[str, Any]:
    """Arguments that are just `{{a skipped step's output}}` as not given."""
    parameters: Sequence[Mapping[str, Any]] = arguments.get("parameters") or ()
    absent = {
        p["name"] for p in parameters if (tag := sole_tag(p.get("value") or "")) is not None and lookup(tag) is ABSENT
    }
    if not absent:
        return arguments
    marked = [{**p, "value": ABSENT_ARGUMENT} if p["name"] in absent else p for p in parameters]
    return {**arguments, "parameters": marked}


def when_text(step: Mapping[str, Any], scope: Variables | Lookup) -> str:
    """The `when` of a step with its tags filled in, `{{item}}` excepted; empty if it has none.

    Raises:
        Unresolved: it reads an output that is not there.
    """
    return str(replace(step.get("when") or "", scope, strict=STRICT))


def resolve_step(
    step: Mapping[str, Any], scope: Variables | Lookup, keep: Sequence[str] = ("hooks", "onExit")
) -> dict[str, Any]:
    """A step with everything filled in but `{{item}}` and what is to `keep`, which is seen to when its time comes.

    Raises:
        Unresolved, ConfigError: as `resolve_arguments`.
    """
    kept = {key: step[key] for key in keep if key in step}
    bare = {key: value for key, value in step.items() if key not in kept and key != "arguments"}
    filled: dict[str, Any] = replace(bare, scope, strict=STRICT)
    if step.get("arguments"):
        filled = {**filled, "arguments": resolve_arguments(step["arguments"], scope)}
    return {**filled, **kept}
