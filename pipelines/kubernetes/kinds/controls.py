"""How controllers let an object be ended, held back and let go on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.kubernetes.kinds.port import Change, Control, Merge, Object, Remove, Verb
from pipelines.kubernetes.kinds.status import mapping, spec_of, status_of, time_of

Controls = dict[Verb, Control]


def by_removal() -> Controls:
    """Its controller has no way to end one with its record kept."""
    return {"stop": _remove, "terminate": _remove}


def by_deadline(*under: str) -> Controls:
    """End it as Failed, its record kept, by a deadline (`activeDeadlineSeconds`) that has passed. One that has not
    begun has none to pass, nobody looks at that of one that is suspended: these are deleted. `under`: where in its spec
    that stands."""

    def stop(found: Object) -> Change:
        begun = time_of(status_of(found).get("startTime")) is not None
        goes_on = begun and _at(found, under).get("suspend") is not True
        return _spec(under, {"activeDeadlineSeconds": 1}) if goes_on else Remove()

    return {"stop": stop, "terminate": stop}


def by_suspend(*under: str) -> Controls:
    """`suspend` in its spec holds it back. `under`: where that stands."""

    def suspend(_found: Object) -> Change:
        return _spec(under, {"suspend": True})

    def resume(_found: Object) -> Change:
        return _spec(under, {"suspend": False})

    return {"suspend": suspend, "resume": resume}


def _remove(_found: Object) -> Change:
    return Remove()


def _at(found: Object, under: tuple[str, ...]) -> Mapping[str, Any]:
    part = spec_of(found)
    for name in under:
        part = mapping(part.get(name))
    return part


def _spec(under: tuple[str, ...], fields: Mapping[str, Any]) -> Merge:
    body = dict(fields)
    for name in reversed(("spec", *under)):
        body = {name: body}
    return Merge(body)
