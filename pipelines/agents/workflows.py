"""The actions of `resource` templates on `kind: Workflow`: child runs, beside the run that starts them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pipelines.agents.admission import metadata_of, owner_reference
from pipelines.agents.held import already_exists, there
from pipelines.agents.objects import MADE_BY, Body, Ref
from pipelines.agents.orders import Order
from pipelines.agents.port import OWNED_LABEL, PARENT_LABEL, PARENT_NODE, ChildRuns
from pipelines.spec import normalize
from retrain.errors import ConfigError, NotFound, Refused

CHANGEABLE = ("suspend", "shutdown")
"""What can be changed of a workflow that has begun."""


class ChildWorkflows:
    """Does orders about workflows."""

    def __init__(self, runs: ChildRuns) -> None:
        self._runs = runs

    async def get(self, ref: Ref) -> Body | None:
        return await self._runs.get(ref.name)

    async def wait_change(self, ref: Ref, at_most_s: float) -> None:
        await self._runs.wait_change(ref.name, at_most_s)

    async def create(self, order: Order) -> Body:
        """Start a run. One that the same node started already is its own.

        Raises:
            ConfigError: there is a run of this name, or the workflow cannot run here.
        """
        try:
            await self._runs.submit(_manifest(order), order.ref.name, order.maker.owner)
        except Refused:
            raise already_exists(order.ref) from None
        return there(await self._runs.get(order.ref.name), order.ref)

    async def apply(self, order: Order) -> Body:
        """Start a run, or suspend, resume or end the one that is there."""
        live = await self._runs.get(order.ref.name)
        if live is None:
            return await self.create(order)
        wanted: Mapping[str, Any] = normalize(order.body)["spec"]
        now: Mapping[str, Any] = normalize({**live, "status": None})["spec"]
        if _without_changeable(wanted) != _without_changeable(now):
            raise ConfigError(
                f"Workflow {order.ref.name} has begun; of its spec only {' and '.join(CHANGEABLE)} can change"
            )
        return await self._obey(
            order.ref, {key: wanted[key] for key in CHANGEABLE if wanted.get(key) != now.get(key) and key in wanted}
        )

    async def replace(self, order: Order) -> Body:
        """Refused: a run cannot become another."""
        raise ConfigError(f"Workflow {order.ref.name}: replace is not done locally; delete it and create another")

    async def patch(self, order: Order) -> Body:
        """Suspend, resume or end a run."""
        there(await self._runs.get(order.ref.name), order.ref)
        if order.strategy == "json":
            raise ConfigError("Workflow: patches of mergeStrategy json are not done locally; use merge")
        patch = {key: value for key, value in order.body.items() if key not in {"apiVersion", "kind"}}
        metadata = {key: value for key, value in metadata_of(patch).items() if key not in {"name", "namespace"}}
        spec: Any = patch.get("spec") or {}
        if not isinstance(spec, Mapping):
            raise ConfigError("Workflow: spec is no map")
        changes = cast("Mapping[str, Any]", spec)
        others = [f"metadata.{key}" for key in metadata] + [key for key in patch if key not in {"metadata", "spec"}]
        others += [f"spec.{key}" for key in changes if key not in CHANGEABLE]
        if others:
            names = " and ".join(f"spec.{key}" for key in CHANGEABLE)
            raise ConfigError(f"Workflow {order.ref.name} has begun; {names} can change, not {', '.join(others)}")
        return await self._obey(order.ref, changes)

    async def delete(self, order: Order) -> None:
        """End a run and forget it; one that is not there is as good."""
        await self._runs.delete(order.ref.name)

    async def _obey(self, ref: Ref, changes: Mapping[str, Any]) -> Body:
        try:
            if changes:
                await self._runs.change(ref.name, changes)
        except (Refused, NotFound) as error:
            raise ConfigError(f"no more retries {error}") from None
        return there(await self._runs.get(ref.name), ref)


def _manifest(order: Order) -> dict[str, Any]:
    """The child's manifest, with its name and whose it is."""
    metadata = metadata_of(order.body)
    owner = order.maker.owner
    labels = {**(metadata.get("labels") or {}), PARENT_LABEL: owner.run_id}
    filled: dict[str, Any] = {
        **metadata,
        "name": order.ref.name,
        "namespace": owner.namespace,
        "annotations": {
            **(metadata.get("annotations") or {}),
            PARENT_NODE: owner.node_id,
            MADE_BY: order.maker.mark,
        },
    }
    if owner.owned:
        labels[OWNED_LABEL] = "true"
        filled["ownerReferences"] = [*(metadata.get("ownerReferences") or ()), owner_reference(owner)]
    return {**order.body, "metadata": {**filled, "labels": labels}}


def _without_changeable(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in spec.items() if key not in CHANGEABLE}
