"""The outputs of a suspend template: what a person supplies, and what holds where nobody does.

Source: `addRawOutputFields` of Argo's controller, `updateSuspendedNode` in workflow/util/util.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.core.nodes import Inputs
from retrain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Supplied:
    """An output that a person supplies. `default` holds if the suspension ends without; None is none."""

    name: str
    default: str | None = None
    allowed: tuple[str, ...] = ()
    """What it may be; anything if empty."""


def supplied_outputs(template: Mapping[str, Any], inputs: Inputs) -> tuple[Supplied, ...]:
    """Those that a template declares. An input of the same name gives its value, else its default, and its `enum`."""
    given: Sequence[Mapping[str, Any]] = (template.get("inputs") or {}).get("parameters") or ()
    declared = {parameter["name"]: parameter for parameter in given}
    outputs: Sequence[Mapping[str, Any]] = (template.get("outputs") or {}).get("parameters") or ()
    found: list[Supplied] = []
    for output in outputs:
        source: Mapping[str, Any] = output.get("valueFrom") or {}
        if source.get("supplied") is None:
            continue
        name, own = str(output["name"]), declared.get(output["name"]) or {}
        default = source.get("default")
        if default is None and own.get("default") is not None:
            default = inputs.parameters.get(name, own["default"])
        found.append(Supplied(name, default, tuple(output.get("enum") or own.get("enum") or ())))
    return tuple(found)


def check_supplied(expected: Sequence[Supplied], given: Mapping[str, str | None]) -> None:
    """Nothing, if every value is one that the node waits for.

    Raises:
        ConfigError: one is not, or is none of those allowed.
    """
    known = {one.name: one for one in expected}
    for name, value in given.items():
        if name not in known:
            waits = f"; it waits for {', '.join(known)}" if known else ""
            raise ConfigError(f"node is not expecting output parameter '{name}'{waits}")
        allowed = known[name].allowed
        if allowed and value not in allowed:
            raise ConfigError(f"output parameter '{name}' is '{value}', it must be one of {', '.join(allowed)}")


def defaults(expected: Sequence[Supplied], given: Mapping[str, str | None]) -> dict[str, str | None]:
    """What the outputs are when the suspension ends: what was given, else the defaults, else no value."""
    return {one.name: given.get(one.name) if given.get(one.name) is not None else one.default for one in expected}
