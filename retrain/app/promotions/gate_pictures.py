"""A candidate's curves and slices as an SVG picture, beside the live model's where the run gives both. Pure.

Every text passes `ink.escaped`; numbers that are none, or lie outside of the unit square, are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pipelines.pictures.ink import page, text

SIDE, MARGIN, ROW, BAR = 240.0, 40.0, 22.0, 200.0
"""Pixels: of a curve's square, around everything, of a slice's row, of a whole bar."""
MOST_CURVES, MOST_SLICES, MOST_POINTS = 4, 30, 2000
COLOURS = {"candidate": "#218bff", "champion": "#8c959f"}
Points = list[tuple[float, float]]


def svg(candidate: Mapping[str, Any], gates: Sequence[Mapping[str, Any]] = ()) -> str | None:
    """The picture of a candidate as `promotions show` has it; None if its run gave neither curves nor slices, and no
    gate has tested its gain.

    A curve is `{"x": [...], "y": [...]}`, both from 0 to 1, and may have the live model's as `champion: {x, y}`. Of a
    gate the interval of the gain over the live model is drawn, with the least that was asked for.
    """
    evaluation = candidate.get("evaluation") or {}
    squares = [_square(name, curve) for name, curve in list(_of(evaluation, "curves").items())[:MOST_CURVES]]
    rows = [*_rows(_of(evaluation, "slices")), *_intervals(gates)]
    squares = [square for square in squares if square]
    if not squares and not rows:
        return None
    width = max(len(squares) * (SIDE + MARGIN), 3 * BAR if rows else 0.0) + MARGIN
    top = 2 * MARGIN if squares else MARGIN
    parts = [_moved(MARGIN + number * (SIDE + MARGIN), top, square) for number, square in enumerate(squares)]
    under = top + (SIDE + MARGIN if squares else 0.0)
    parts += [_moved(MARGIN, under + number * ROW, row) for number, row in enumerate(rows)]
    height = under + len(rows) * ROW + MARGIN
    return page(width, height, f"Evaluation of {candidate.get('digest', '')}"[:100], [_legend(), *parts])


def _of(evaluation: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = evaluation.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _legend() -> str:
    return "".join(
        text(MARGIN + place * 110, 24, f"■ {name}", size=12, fill=colour)
        for place, (name, colour) in enumerate(COLOURS.items())
    )


def _moved(x: float, y: float, body: str) -> str:
    return f'<g transform="translate({x:.1f} {y:.1f})">{body}</g>'


def points(curve: object) -> Points:
    """The points of a curve that can be drawn; at most so many, evenly chosen."""
    body = cast("Mapping[str, Any]", curve) if isinstance(curve, Mapping) else {}
    xs, ys = body.get("x"), body.get("y")
    if not isinstance(xs, list) or not isinstance(ys, list):
        return []
    pairs = zip(cast("list[Any]", xs), cast("list[Any]", ys), strict=False)
    good = [(float(x), float(y)) for x, y in pairs if _is_share(x) and _is_share(y)]
    step = max(1, math.ceil(len(good) / MOST_POINTS))
    return good[::step] + (good[-1:] if step > 1 else [])


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _square(name: str, curve: object) -> str:
    mine = points(curve)
    if len(mine) < 2:
        return ""
    other = points(cast("Mapping[str, Any]", curve).get("champion"))
    frame = f'<rect width="{SIDE}" height="{SIDE}" fill="#f6f8fa" stroke="#d0d7de"/>'
    lines = [_line(other, COLOURS["champion"])] if len(other) > 1 else []
    return "".join([frame, *lines, _line(mine, COLOURS["candidate"]), text(0, -8, name[:40], size=13)])


def _line(curve: Points, colour: str) -> str:
    path = " ".join(f"{x * SIDE:.1f},{(1 - y) * SIDE:.1f}" for x, y in curve)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'


def _rows(slices: Mapping[str, Any]) -> list[str]:
    """A row for each slice: the first metric that is a share, the candidate's bar over the live model's."""
    drawn = [_row(name, cast("Mapping[str, Any]", one)) for name, one in slices.items() if isinstance(one, Mapping)]
    return [row for row in drawn if row][:MOST_SLICES]


def _row(name: str, part: Mapping[str, Any]) -> str:
    metrics, champion = _of(part, "metrics"), _of(part, "champion")
    metric = next((one for one, value in metrics.items() if _is_share(value)), None)
    if metric is None:
        return ""
    bars = [_bar(champion.get(metric), 10.0, 4.0, "champion"), _bar(metrics[metric], 2.0, 8.0, "candidate")]
    said = f"{metric} {metrics[metric]:.4g}, {part.get('n', 0)} examples"
    words = [text(0, 11, name[:28], size=11), text(2 * BAR + 10, 11, said[:60], size=11)]
    return "".join([*bars, *words])


def _bar(value: object, y: float, height: float, whose: str) -> str:
    if not _is_share(value):
        return ""
    width = cast("float", value) * BAR
    return f'<rect x="{BAR}" y="{y}" width="{width:.1f}" height="{height}" fill="{COLOURS[whose]}"/>'


def _intervals(gates: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row for each gate that has tested a gain, at most as many as slices."""
    return [row for gate in gates if (row := _interval(str(gate.get("name")), _of(gate, "figures")))][:MOST_SLICES]


def _interval(name: str, figures: Mapping[str, Any]) -> str:
    """The gain as a dot in its interval, which is open where there is no bound; the least that was asked as a line."""
    ci: Any = figures.get("ci")
    gain, margin = figures.get("gain", figures.get("delta")), figures.get("margin", 0.0)
    if not isinstance(ci, list) or len(cast("list[Any]", ci)) != 2 or not _is_number(gain) or not _is_number(margin):
        return ""
    low, high = (value if _is_number(value) else None for value in cast("list[Any]", ci))
    values = [float(value) for value in (low, high, gain, margin) if value is not None]
    begin, wide = min(values), (max(values) - min(values)) or 1.0

    def place(value: float | None, otherwise: float) -> float:
        return BAR + (otherwise if value is None else (value - begin) / wide) * BAR

    x, y, asked = place(low, -0.02), place(high, 1.02), place(margin, 0.0)
    drawn = (
        f'<path d="M{x:.1f} 7H{y:.1f}" stroke="{COLOURS["candidate"]}" stroke-width="2"/>',
        f'<path d="M{asked:.1f} 0V14" stroke="{COLOURS["champion"]}" stroke-dasharray="3 2"/>',
        f'<circle cx="{place(gain, 0.0):.1f}" cy="7" r="4" fill="{COLOURS["candidate"]}"/>',
    )
    bounds = " to ".join("open" if one is None else f"{one:.4g}" for one in (low, high))
    said = f"gain {gain:+.4g}, {bounds}; {margin:.4g} asked"
    return "".join([*drawn, text(0, 11, name[:28], size=11), text(2 * BAR + 10, 11, said[:60], size=11)])


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
