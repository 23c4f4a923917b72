"""Which repository a run's artifacts go to, and under which key. Decides; touches nothing.

A run names one by `artifactRepositoryRef {configMap, key}`: an entry of a ConfigMap beside the workflow
(`artifact-repositories` if no other is named). Where the project has no such ConfigMap, and for all other runs, it is
the default repository of the settings.
"""

from __future__ import annotations

import re

import yaml
from pydantic import ValidationError

from pipelines.artifacts.port import ArtifactRun
from pipelines.artifacts.secrets import Secrets
from pipelines.artifacts.settings import KEY_FORMAT, RepositorySpec
from retrain.errors import ConfigError
from retrain.log import get_logger

log = get_logger()

CONFIG_MAP = "artifact-repositories"
_TAG = re.compile(r"\{\{\s*([^{}]+?)\s*\}\}")


def repository_of(run: ArtifactRun, secrets: Secrets, default: RepositorySpec) -> RepositorySpec:
    """The repository of a run.

    Raises:
        ConfigError: the entry is not there or says something impossible.
    """
    ref = run.repository
    if not ref:
        return default
    name = str(ref.get("configMap") or CONFIG_MAP)
    entries = secrets.config(name)
    if entries is None:
        log.warning(
            "artifact.default_repository", reason=f"the project has no ConfigMap {name!r}", workflow=run.workflow
        )
        return default
    key = str(ref.get("key") or "")
    if not key and len(entries) == 1:
        key = next(iter(entries))
    if key not in entries:
        raise ConfigError(f"artifactRepositoryRef: ConfigMap {name!r} has no key {key!r}; it has {', '.join(entries)}")
    return _read(entries[key], f"ConfigMap {name!r}, key {key!r}")


def _read(text: str, where: str) -> RepositorySpec:
    try:
        document = yaml.load(text, Loader=yaml.CSafeLoader) or {}
        return RepositorySpec.model_validate(document)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: is not YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where}: {path}: {first['msg'].lower()}") from None


def default_folder(run: ArtifactRun, repository: RepositorySpec) -> str:
    """Where the artifacts of a step lie that name no key, as the repository says.

    Raises:
        ConfigError: the format names what is not known here.
    """
    kind = repository.s3 or repository.gcs or repository.artifactory
    template = kind.keyFormat if kind else KEY_FORMAT
    if repository.s3 and repository.s3.keyPrefix and template == KEY_FORMAT:
        template = f"{repository.s3.keyPrefix}/{template}"
    return _filled(template, run)


def _filled(template: str, run: ArtifactRun) -> str:
    known = {
        "workflow.name": run.workflow,
        "workflow.namespace": run.namespace,
        "workflow.uid": run.uid,
        "pod.name": run.pod_name,
        "node.id": run.node_id,
        **run.variables,
    }

    def value(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ConfigError(f"keyFormat: {match[0]} is not known; there are {', '.join(sorted(known))}")
        return known[match[1]]

    return _TAG.sub(value, template)
