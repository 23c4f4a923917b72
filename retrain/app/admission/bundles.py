"""Telling the API server which authority to trust: the `caBundle` of our ValidatingWebhookConfiguration."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from retrain.errors import NotFound
from retrain.kube import Cluster, path_of

GROUP, VERSION, PLURAL = "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"


@dataclass(frozen=True, slots=True)
class Told:
    """`missing`: what there is not, so that nobody was told. `changed`: it was another bundle before."""

    missing: str | None = None
    changed: bool = False


async def tell(server: Cluster, name: str, bundle: str) -> Told:
    """Write the bundle where it is another one.

    Raises:
        Denied: we may not see or change it.
        Conflict: somebody else changes it at this moment.
    """
    path = path_of(GROUP, VERSION, PLURAL, name=name)
    try:
        found = await server.get(path)
    except NotFound:
        return Told(f"the ValidatingWebhookConfiguration {name!r} is not there: nobody asks this webhook")
    changes = changes_of(found, bundle)
    if changes:
        await server.patch(path, changes, "json")
    return Told(changed=bool(changes))


def changes_of(found: dict[str, Any], bundle: str) -> list[dict[str, Any]]:
    """What must change so that every webhook of the configuration trusts the bundle; empty: nothing. Pure."""
    wanted = b64encode(bundle.encode()).decode()
    changes: list[dict[str, Any]] = [
        {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": wanted}
        for index, one in enumerate(found.get("webhooks") or ())
        if (one.get("clientConfig") or {}).get("caBundle") != wanted
    ]
    if not changes:
        return []
    version = found["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *changes]
