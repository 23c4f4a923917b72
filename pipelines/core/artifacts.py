"""Artifacts as values: where one lies, who hands it on to whom, and what the members of a loop gave together.

An artifact is Argo's, as JSON. What is handed on keeps its location and how it was packed; the reader gives it another
name, path and mode. Nothing here reads a file.

    {"name": "m", "retrain": {"parts": [{"name": "0", "s3": {...}}, {"name": "2", "s3": {...}}]}}

is ours: the artifacts of a loop, which upstream does not hand on. Its reader gets a directory with one entry for each
part, named by the index of the item.

Source: `resolveArtifact` in workflow/controller/scope.go and `ProcessArgs` of Argo Workflows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from pipelines.core.expressions import evaluate_value
from pipelines.core.nodes import Artifact
from pipelines.core.substitute import replace
from pipelines.core.variables import Absent, Variables
from retrain.errors import ConfigError

KEYED = ("s3", "gcs", "oss", "azure", "hdfs", "plugin")
LOCATIONS = (*KEYED, "artifactory", "git", "http", "raw", "retrain")
_KEY_NAMES = ("key", "blob", "path")
_NOT_HANDED_ON = ("from", "fromExpression", "subPath", "globalName")


class ArtifactUnresolved(ConfigError):
    """There is no such artifact. An optional one is then left out."""


def has_location(artifact: Mapping[str, Any]) -> bool:
    """Whether it is said where it lies, be it by a bare key of the default repository."""
    for kind in LOCATIONS:
        place: Mapping[str, Any] | None = artifact.get(kind)
        if place is not None and (kind not in KEYED or any(place.get(key) for key in _KEY_NAMES)):
            return True
    return False


def is_handed_on(artifact: Mapping[str, Any]) -> bool:
    """Whether it is another one's: `from` or `fromExpression`."""
    return bool(artifact.get("from") or artifact.get("fromExpression"))


def resolve_artifact(artifact: Artifact, scope: Variables) -> Artifact:
    """The artifact that `from` or `fromExpression` means, under this one's name.

    That of a skipped step in `steps` has no location.

    Raises:
        ArtifactUnresolved: there is none.
        ConfigError: the expression fails, gives something else, or `subPath` leads out of the artifact.
        Unresolved: `subPath` reads what is not there.
    """
    found = _by_expression(artifact, scope) if artifact.get("fromExpression") else _by_name(artifact, scope)
    kept = {key: value for key, value in found.items() if key not in _NOT_HANDED_ON}
    resolved = {**kept, "name": artifact["name"]}
    paths = [str(found.get("subPath") or ""), str(replace(artifact.get("subPath") or "", scope))]
    inner = "/".join(one for one in paths if one)
    if inner:
        resolved["subPath"] = safe_sub_path(inner, str(artifact["name"]))
    return resolved


def _by_name(artifact: Artifact, scope: Variables) -> Artifact:
    tag = str(artifact["from"]).removeprefix("{{").removesuffix("}}").strip()
    found = scope.artifact(tag)
    if found is None:
        raise ArtifactUnresolved(f'Unable to resolve: "{tag}"')
    return {} if isinstance(found, Absent) else found


def _by_expression(artifact: Artifact, scope: Variables) -> Artifact:
    text = str(artifact["fromExpression"])
    try:
        found = evaluate_value(text, scope)
    except ConfigError as error:
        raise ArtifactUnresolved(f"Unable to resolve: {error}") from error
    if found is None:
        raise ArtifactUnresolved(f'Unable to resolve: "{text}"')
    if not isinstance(found, Mapping):
        raise ConfigError(f"artifact {artifact['name']}: fromExpression gives {str(found)[:80]!r}, not an artifact")
    return found


def safe_sub_path(text: str, name: str) -> str:
    """A path inside an artifact, without `.` and doubled slashes.

    Raises:
        ConfigError: it leads out of it.
    """
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text:
        raise ConfigError(f"artifact {name}: subPath '{text}' must be a path inside the artifact, without '..'")
    return str(path)


def supplied_artifact(declared: Artifact, given: Artifact | None) -> Artifact:
    """An input artifact with the argument for it: the argument says where it lies, the input where it goes.

    Raises:
        ConfigError: it is not optional, and neither says where it lies.
    """
    name, optional = declared["name"], bool(declared.get("optional"))
    if not optional and not has_location(declared):
        if given is None:
            raise ConfigError(f"inputs.artifacts.{name} was not supplied")
        if not has_location(given):
            raise ConfigError(f"inputs.artifacts.{name} missing location information")
    if given is None:
        return declared
    kept = {key: value for key, value in given.items() if key not in ("path", "mode", "recurseMode", "optional")}
    own = {key: declared[key] for key in ("path", "mode", "recurseMode") if declared.get(key) is not None}
    may_miss = {"optional": True} if optional or given.get("optional") else {}
    return {**kept, **own, **may_miss}


def gathered(name: str, parts: Sequence[tuple[int, Artifact]]) -> Artifact:
    """The artifacts of a loop's members, by the index of their item, as one."""
    inner = [{**_kept(artifact), "name": str(index)} for index, artifact in parts]
    return {"name": name, "retrain": {"parts": inner}}


def _kept(artifact: Artifact) -> dict[str, Any]:
    return {key: value for key, value in artifact.items() if key not in ("path", *_NOT_HANDED_ON[:2], "globalName")}


def exported_artifact(global_name: str, artifact: Artifact) -> Artifact:
    """What `workflow.outputs.artifacts.<globalName>` is."""
    return {**{k: v for k, v in artifact.items() if k not in ("globalName", "path")}, "name": global_name}
