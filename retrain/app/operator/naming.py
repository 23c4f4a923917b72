"""Names inside the platform, which knows no namespaces: with all of them watched, `x` in `team-a` is `x.team-a`.

A namespace's name has no dot, so that the two parts can always be told apart, and a pattern stays in its namespace. All
that a document refers to by name is meant in its own namespace. With one namespace watched, names stay as they are.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from retrain.app.operator.references import Reference
from retrain.events import OWN_SOURCE

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Names:
    """`several`: all namespaces are watched."""

    several: bool

    def internal(self, name: str, namespace: str) -> str:
        """How the platform calls what is called `name` in a namespace."""
        return f"{name}.{namespace}" if self.several else name

    def plain(self, internal: str) -> str:
        """What it is called in its namespace."""
        return internal.rpartition(".")[0] if self.several else internal

    def settled(self, body: Mapping[str, Any], references: Iterable[Reference]) -> Body:
        """A document as the platform runs it: with internal names, and its own namespace where a trigger's object
        names none. `references`: the Secrets and ConfigMaps that it names."""
        copied = cast("Body", _copied(body))
        namespace: str = copied["metadata"].get("namespace", "")
        if copied["kind"] == "Sensor" and namespace:
            _place_objects(copied, namespace)
        if not self.several:
            return copied
        copied["metadata"]["name"] = self.internal(copied["metadata"]["name"], namespace)
        for one in references:
            selector = _at(copied, one.path)
            selector["name"] = self.internal(one.name, namespace)
        if copied["kind"] == "Sensor":
            self._rename_in_sensor(_mapping(copied.get("spec")), namespace)
        return copied

    def _rename_in_sensor(self, spec: Body, namespace: str) -> None:
        for dependency in map(_mapping, _list(spec.get("dependencies"))):
            self._rename(dependency, "eventSourceName", namespace)
            self._rename(_mapping(_mapping(dependency.get("filters")).get("context")), "source", namespace)
        for template in _templates(spec):
            self._rename(_mapping(template.get("promotion")), "name", namespace)

    def _rename(self, found: Body, field: str, namespace: str) -> None:
        name = found.get(field)
        # The platform's own events are everybody's.
        if isinstance(name, str) and name and name != OWN_SOURCE:
            found[field] = self.internal(name, namespace)


def _place_objects(sensor: Body, namespace: str) -> None:
    """Write the sensor's namespace into the objects of its triggers that name none, as Argo Events does."""
    for template in _templates(_mapping(sensor.get("spec"))):
        for kind in ("argoWorkflow", "k8s"):
            resource = _mapping(_mapping(_mapping(template.get(kind)).get("source")).get("resource"))
            if resource and isinstance(resource.setdefault("metadata", {}), dict):
                resource["metadata"].setdefault("namespace", namespace)


def _templates(spec: Body) -> Iterable[Body]:
    """The templates of all triggers, those for what failed included."""
    waiting = [_mapping(one) for one in _list(spec.get("triggers"))]
    while waiting:
        trigger = waiting.pop()
        yield _mapping(trigger.get("template"))
        waiting += [_mapping(trigger.get("dlqTrigger"))] if trigger.get("dlqTrigger") else []


def _at(value: Any, path: Iterable[str | int]) -> Any:
    for step in path:
        value = value[step]
    return value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(member) for key, member in cast("Mapping[str, Any]", value).items()}
    return [_copied(one) for one in cast("list[Any]", value)] if isinstance(value, list) else value


def _mapping(value: Any) -> Body:
    return cast("Body", value) if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
