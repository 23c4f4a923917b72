"""A version of a registered model as a candidate: found by number or alias, and pinned at once to its digest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from pydantic import ValidationError

from deploy.git.access import Vault
from deploy.names import check_digest
from deploy.registry.mlflow import MlflowClient, open_mlflow
from deploy.registry.spec import DIGEST_TAG, Asked, Mlflow, Registry
from deploy.registry.spoken import Run, Version
from retrain.errors import ConfigError, Permanent, Refused, Transient
from retrain.events import JsonValue

FROM = "mlflow"
"""The member of a candidate that says so."""

Body = Mapping[str, JsonValue]


def is_asked(candidate: JsonValue) -> bool:
    """Whether a candidate is to be found in a registry."""
    return isinstance(candidate, dict) and FROM in candidate


async def resolve(registry: Registry | None, candidate: Body, vault: Vault) -> dict[str, JsonValue]:
    """The candidate as it is handed to `proposals.submit`; one that is not to be found in a registry, as it is.

    What stands beside `mlflow` counts before what the registry says; a `digest` there must be the right one.

    Raises:
        ConfigError: there is no registry, or it is not said which version.
        NotFound: there is no such model, version or alias.
        Refused: its files have another digest than was asked for.
        Transient, Permanent: the registry is away, or says no.
    """
    if FROM not in candidate:
        return dict(candidate)
    if registry is None:
        raise ConfigError("candidate.mlflow: this Promotion has no spec.registry.mlflow to look in")
    asked = _read(candidate[FROM], registry.mlflow)
    async with open_mlflow(registry.mlflow, vault) as client:
        version, run = await _find(client, asked)
        digest = await _digest(client, registry.mlflow, version, run)
    wanted = candidate.get("digest")
    if wanted is not None and wanted != digest:
        raise Refused(
            f"version {version.version} of {version.model!r} has the digest {digest}, not {str(wanted)[:100]}"
        )
    more = {name: value for name, value in candidate.items() if name not in {FROM, "registered"}}
    return {**candidate_of(version, run, digest, asked), **more}


def candidate_of(version: Version, run: Run, digest: str, asked: Asked) -> dict[str, JsonValue]:
    """What is known of the version, as a candidate. Pure."""
    return {
        "digest": digest,
        "uri": version.uri,
        "version": version.version,
        "run": run.run_id or None,
        "metrics": dict(run.metrics),
        "parameters": dict(run.parameters),
        "registered": {"model": version.model, "version": version.version, "alias": asked.alias},
        **({"evaluation": {"dataset": run.dataset}} if run.dataset else {}),
    }


def _read(given: JsonValue, spec: Mlflow) -> Asked:
    try:
        asked = Asked.model_validate(given)
    except ValidationError as error:
        problems = [
            f"candidate.mlflow{''.join(f'.{one}' for one in problem['loc'])}: "
            + problem["msg"].removeprefix("Value error, ")
            for problem in error.errors(include_url=False)
        ]
        raise ConfigError("; ".join(problems)) from error
    if asked.model is None and spec.model is None:
        raise ConfigError("candidate.mlflow.model is missing, and so is spec.registry.mlflow.model")
    return asked if asked.model is not None else asked.model_copy(update={"model": spec.model})


async def _find(client: MlflowClient, asked: Asked) -> tuple[Version, Run]:
    model = cast("str", asked.model)
    if asked.alias is not None:
        version = await client.at_alias(model, asked.alias)
    else:
        version = await client.version(model, cast("str", asked.version))
    if version.status.startswith("PENDING"):
        raise Transient(f"version {version.version} of {model!r} is {version.status}: its files are on their way")
    if version.status != "READY":
        raise Permanent(f"version {version.version} of {model!r} is {version.status}, not READY")
    version = replace(version, uri=await client.uri(version))
    return version, await client.run(version)


async def _digest(client: MlflowClient, spec: Mlflow, version: Version, run: Run) -> str:
    if spec.digest == "files":
        return await client.digest(version, run)
    digest = version.tags.get(DIGEST_TAG, "")
    if why := check_digest(digest):
        words = f"version {version.version} of {version.model!r}: its tag {DIGEST_TAG}"
        raise Permanent(f"{words} {why}" if digest else f"{words} is not set, and registry.mlflow.digest is tag")
    return digest
