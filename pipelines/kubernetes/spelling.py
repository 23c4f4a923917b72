"""A Workflow in the spelling of the Argo Workflows that a cluster has. Pure.

| since | is written |
| --- | --- |
| 3.6 | `mutexes`, `semaphores`; before, `mutex` and `semaphore` alone |
| 4.0 | no `mutex`, `semaphore`, `podPriority` any more |

What has two spellings is sent in the newer one, which every Argo that is still looked after reads.

Source: https://argo-workflows.readthedocs.io/en/latest/upgrading/
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from pipelines.kubernetes.versions import Version
from retrain.errors import ConfigError

PLURALS = {"mutex": "mutexes", "semaphore": "semaphores"}
PLURALS_SINCE = Version(3, 6)
POD_PRIORITY_UNTIL = Version(4, 0)

Spec = dict[str, Any]
Spell = Callable[[Mapping[str, Any]], Spec]


def spelled(workflow: Mapping[str, Any], version: Version | None) -> dict[str, Any]:
    """The same Workflow as this version reads it; None is one that nobody knows. The argument stays as it is.

    Raises:
        ConfigError: it asks for what this version cannot do.
    """
    spec: Spec = {**(workflow.get("spec") or {})}
    if "podPriority" in spec and version is not None and version >= POD_PRIORITY_UNTIL:
        spec = _without_pod_priority(spec, version)
    spell = _plural if version is None or version >= PLURALS_SINCE else _singular
    spec = _synchronized(spec, spell)
    if defaults := spec.get("templateDefaults"):
        spec["templateDefaults"] = _synchronized(defaults, spell)
    if templates := spec.get("templates"):
        spec["templates"] = [_synchronized(one, spell) for one in templates]
    return {**workflow, "spec": spec}


def _synchronized(body: Mapping[str, Any], spell: Spell) -> Spec:
    found, written = {**body}, body.get("synchronization")
    if isinstance(written, Mapping):
        found["synchronization"] = spell(cast("Mapping[str, Any]", written))
    found |= {name: _inline(body[name], spell) for name in ("steps", "dag") if name in body}
    return found


def _inline(steps: Any, spell: Spell) -> Any:
    """Steps or tasks, some of which may have their template in them; whatever else it is stays so."""
    if isinstance(steps, list):
        return [_inline(one, spell) for one in cast("list[Any]", steps)]
    if not isinstance(steps, Mapping):
        return steps
    found = cast("Mapping[str, Any]", steps)
    if isinstance(found.get("inline"), Mapping):
        return {**found, "inline": _synchronized(found["inline"], spell)}
    return {**found, "tasks": _inline(found["tasks"], spell)} if "tasks" in found else found


def _plural(written: Mapping[str, Any]) -> Spec:
    found = {name: value for name, value in written.items() if name not in PLURALS}
    for one, many in PLURALS.items():
        if written.get(one):
            found[many] = [written[one], *(written.get(many) or ())]
    return found


def _singular(written: Mapping[str, Any]) -> Spec:
    found = {name: value for name, value in written.items() if name not in PLURALS.values()}
    for one, many in PLURALS.items():
        wanted = [*([written[one]] if written.get(one) else ()), *(written.get(many) or ())]
        if len(wanted) > 1:
            raise ConfigError(
                f"synchronization.{many}: Argo Workflows before {PLURALS_SINCE} takes one of them, not {len(wanted)}"
            )
        if wanted:
            found[one] = wanted[0]
    return found


def _without_pod_priority(spec: Spec, version: Version) -> Spec:
    priority = spec["podPriority"]
    if spec.get("podSpecPatch"):
        raise ConfigError(
            f"spec.podPriority: Argo Workflows {version} has it no more; write priority into spec.podSpecPatch, or "
            "name a class in spec.podPriorityClassName"
        )
    rest = {name: value for name, value in spec.items() if name != "podPriority"}
    return {**rest, "podSpecPatch": orjson.dumps({"priority": priority}).decode()}
