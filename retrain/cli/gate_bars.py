"""Gates as bars for the terminal: where the figure lies between 0 and 1, and its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

BOUNDS = ("min", "max", "baseline")


def bars(gates: Sequence[Mapping[str, Any]], width: int = 24) -> list[str]:
    """A line for each gate with a value and a bound that are shares: `good  ███████░░░ 0.94 (min 0.9)`."""
    return [line for gate in gates if (line := _bar(gate, width))]


def _bar(gate: Mapping[str, Any], width: int) -> str:
    figures = cast("Mapping[str, Any]", gate.get("figures") or {})
    value = figures.get("value")
    bounds = {name: figures[name] for name in BOUNDS if _is_share(figures.get(name))}
    if not _is_share(value) or not bounds:
        return ""
    full = round(cast("float", value) * width)
    said = ", ".join(f"{name} {bound:.4g}" for name, bound in bounds.items())
    name = "".join(letter for letter in str(gate.get("name")) if letter.isprintable())[:20]
    return f"{name:<20} {'█' * full}{'░' * (width - full)} {value:.4g} ({said})"


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
