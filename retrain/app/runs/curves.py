"""Curves of several runs as SVG, a line for each run, told apart by dashes and marks too. Pure.

The colours are the page's (classes `c0` to `c4`), so that they fit its light and its dark look. Every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipelines.pictures.ink import FONT, escaped

WIDTH, HEIGHT = 420.0, 260.0
LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 12.0, 30.0
DASHES = ("", "7 4", "2 3", "10 3 2 3", "1 5")
MARKS = 6
"""Marks on a line."""
Range = tuple[float, float]


def svg(curve: Mapping[str, Any], names: Sequence[str]) -> str:
    """A curve as `run_compare.curves` gives it; `names`: those of the runs."""
    lines: Sequence[Mapping[str, Any]] = curve["lines"]
    across, up = _range(line["x"] for line in lines), _range(line["y"] for line in lines)
    drawn = "".join(_line(line, across, up) for line in lines)
    said = ", ".join(str(names[int(line["run"])]) for line in lines)
    title = f"<title>{escaped(': '.join((str(curve['name']), said))[:300])}</title>"
    box = f'viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" font-family="{FONT}"'
    inner = f"{title}{_frame(across, up)}{drawn}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="curve" role="img" {box}>{inner}</svg>'


def _range(parts: Iterable[Sequence[float]]) -> Range:
    values = [value for part in parts for value in part]
    low, high = min(values), max(values)
    if high <= low:
        return low - 0.5, low + 0.5
    # Shares are shown from 0 to 1, so that pictures of two comparisons can be laid side by side.
    return (0.0, 1.0) if low >= 0 and high <= 1 and high > 0.5 else (low, high)


def _at(value: float, of: Range, start: float, end: float) -> float:
    return start + (value - of[0]) / (of[1] - of[0]) * (end - start)


def _frame(across: Range, up: Range) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<path class="axis" d="M{LEFT:g} {TOP:g}V{bottom:g}H{right:g}"/>']
    for tick in ticks(across):
        x = _at(tick, across, LEFT, right)
        parts.append(f'<path class="tick" d="M{x:.1f} {TOP:g}V{bottom:g}"/>')
        parts.append(f'<text class="label" x="{x:.1f}" y="{bottom + 16:g}" text-anchor="middle">{tick:.4g}</text>')
    for tick in ticks(up):
        y = _at(tick, up, bottom, TOP)
        parts.append(f'<path class="tick" d="M{LEFT:g} {y:.1f}H{right:g}"/>')
        parts.append(f'<text class="label" x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    return "".join(parts)


def ticks(of: Range, most: int = 5) -> list[float]:
    """Round figures within a range, a few of them."""
    raw = (of[1] - of[0]) / most
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    first = math.ceil(of[0] / step - 1e-9)
    return [number * step for number in range(first, math.floor(of[1] / step + 1e-9) + 1)]


def _line(line: Mapping[str, Any], across: Range, up: Range) -> str:
    index = int(line["run"]) % len(DASHES)
    points = [
        (_at(x, across, LEFT, WIDTH - RIGHT), _at(y, up, HEIGHT - BOTTOM, TOP))
        for x, y in zip(line["x"], line["y"], strict=True)
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = f' stroke-dasharray="{DASHES[index]}"' if DASHES[index] else ""
    step = max(1, len(points) // MARKS)
    marks = "".join(mark(index, x, y) for x, y in points[step // 2 :: step])
    return f'<g class="c{index}"><polyline points="{path}"{dash}/>{marks}</g>'


def mark(index: int, x: float, y: float) -> str:
    """The sign of the run at this place among those that are compared."""
    match index:
        case 0:
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2"/>'
        case 1:
            return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
        case 2:
            return f'<path class="sign" d="M{x - 4:.1f} {y + 3:.1f}h8l-4 -7z"/>'
        case 3:
            return f'<path class="sign" d="M{x - 4:.1f} {y:.1f}l4 -4l4 4l-4 4z"/>'
        case _:
            return f'<path class="cross" d="M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6"/>'


def key(index: int) -> str:
    """The line and sign of a run, small, for beside its name."""
    dash = f' stroke-dasharray="{DASHES[index]}"' if DASHES[index] else ""
    line = f'<polyline points="0,7 34,7"{dash}/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="curve key" aria-hidden="true" width="34" height="14" '
        f'viewBox="0 0 34 14"><g class="c{index}">{line}{mark(index, 17, 7)}</g></svg>'
    )
