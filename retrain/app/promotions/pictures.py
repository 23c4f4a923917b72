"""A model's history as an SVG picture: a lane for each environment, and a metric over time. Pure.

Every text passes `ink.escaped`. What a lane shows by colour it shows by a mark too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pipelines.pictures.ink import escaped, page, text, width_of

Json = Mapping[str, Any]
Place = Callable[[datetime], float]

WIDTH, LEFT, RIGHT, TOP, LANE, BAR, PLOT = 980.0, 120.0, 24.0, 44.0, 62.0, 26.0, 150.0
"""Pixels: of the whole, beside the time, above, of a lane, of a model in it, and of the metric's chart."""
FILLS = {"ok": ("#dafbe1", "#2da44e", "#0f3d1e"), "bad": ("#ffebe9", "#cf222e", "#660018")}
BACK = ("#fff8e5", "#d4a72c", "#4d2d00")
LINES = ("#218bff", "#2da44e", "#a475f9", "#e16f24", "#8c959f")
MARKS = {"rollback": "↩", "unhealthy": "✖", "hold": "‖", "release": "▶"}
TICKS = 5
SOFT, INK = "#57606a", "#24292f"


def svg(model: Json, now: datetime) -> str | None:
    """The history of a model as `retrain.app.promotions.models.show_model` tells it; None: nothing was ever live."""
    lanes = [one for one in model["environments"] if one["spans"] or one["moments"]]
    times = [_time(at) for one in lanes for at in _stamps(one)]
    if not any(one["spans"] for one in lanes):
        return None
    begin, end = _range(min(times), now)
    place = _scale(begin, end)
    parts = [*_axis(begin, end, place, TOP + len(lanes) * LANE)]
    for number, lane in enumerate(lanes):
        parts += _lane(lane, TOP + number * LANE, place, now)
    chart, height = _chart(model, lanes, TOP + len(lanes) * LANE + 34, place, now)
    title = f"History of {model['name']}"[:100]
    return page(WIDTH, height, title, [*parts, *chart])


def _stamps(lane: Json) -> Iterator[str]:
    yield from (one["from"] for one in lane["spans"])
    yield from (one["at"] for one in lane["moments"] if one["what"] in MARKS)


def _range(first: datetime, now: datetime) -> tuple[datetime, datetime]:
    """From a little before the first to now; at least a minute."""
    long = max(now - first, timedelta(minutes=1))
    return now - long * 1.03, now


def _scale(begin: datetime, end: datetime) -> Place:
    wide = (end - begin).total_seconds()

    def place(at: datetime) -> float:
        share = (at - begin).total_seconds() / wide
        return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, min(1.0, share))

    return place


def _axis(begin: datetime, end: datetime, place: Place, bottom: float) -> Iterator[str]:
    long = end - begin
    form = "%Y-%m-%d" if long > timedelta(days=4) else "%m-%d %H:%M" if long > timedelta(hours=6) else "%H:%M:%S"
    for number in range(TICKS):
        at = begin + long * number / (TICKS - 1)
        x = place(at)
        yield f'<path d="M{x:.1f} {TOP - 14:.1f}V{bottom:.1f}" stroke="#eaeef2"/>'
        said = at.strftime(form)
        shift = (0.0, width_of(said, 11) / 2, width_of(said, 11))[(number > 0) + (number == TICKS - 1)]
        yield text(x - shift, TOP - 22, said, size=11, fill=SOFT)
    yield text(4, TOP - 22, "UTC", size=11, fill=SOFT)


def _lane(lane: Json, y: float, place: Place, now: datetime) -> Iterator[str]:
    yield text(4, y + BAR / 2 + 4, _cut(lane["environment"], 110, 13), size=13)
    for one in lane["held"]:
        x, wide = _stretch(one, place, now)
        yield f'<rect x="{x:.1f}" y="{y + BAR + 3:.1f}" width="{wide:.1f}" height="5" fill="#d4a72c">'
        yield "<title>held</title></rect>"
    for one in lane["spans"]:
        yield _span(one, y, place, now)
    for one in reversed(lane["moments"]):
        if mark := MARKS.get(one["what"]):
            yield _mark(mark, one, y, place)


def _span(one: Json, y: float, place: Place, now: datetime) -> str:
    fill, line, ink = FILLS["bad"] if one["unhealthy"] else BACK if one["back"] else FILLS["ok"]
    x, wide = _stretch(one, place, now)
    dashed = ' stroke-dasharray="4 2"' if one["takenBack"] else ""
    box = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{BAR}" rx="4"'
    body = f'<rect {box} fill="{fill}" stroke="{line}"{dashed}/>'
    mark = "✖ " if one["unhealthy"] else "↩ " if one["back"] else ""
    label = _cut(f"{mark}{one['version']}", wide - 10, 12)
    words = text(x + 5, y + BAR / 2 + 4, label, size=12, fill=ink) if label else ""
    return f"<g><title>{escaped(_said(one))}</title>{body}{words}</g>"


def _said(one: Json) -> str:
    end = one["to"][:19] if one["to"] else "now"
    how = " (back by a rollback)" if one["back"] else " (taken back)" if one["takenBack"] else ""
    return f"{one['version']} from {one['from'][:19]} to {end}{how}"[:200]


def _mark(mark: str, one: Json, y: float, place: Place) -> str:
    x = place(_time(one["at"]))
    said = escaped(f"{one['what']} {one['at'][:19]} {one['reason']}"[:200])
    words = text(x - 6, y + BAR + 22, mark, size=13, fill=INK)
    return f"<g><title>{said}</title>{words}</g>"


def _stretch(one: Json, place: Place, now: datetime) -> tuple[float, float]:
    begin, end = place(_time(one["from"])), place(_time(one["to"]) if one["to"] else now)
    return begin, max(2.0, end - begin)


# --- the metric ------------------------------------------------------------------------------------------------------


def _chart(model: Json, lanes: Sequence[Json], top: float, place: Place, now: datetime) -> tuple[list[str], float]:
    """The champion's metric over time, a line for each environment; and where the picture ends."""
    name = model["metric"]
    values = [one["metrics"][name] for lane in lanes for one in lane["spans"] if name in one["metrics"]]
    if not name or not values:
        return [], top
    low, high = _bounds(values)

    def tall(value: float) -> float:
        return top + PLOT - (value - low) / (high - low) * PLOT

    parts = [text(4, top - 8, _cut(name, LEFT - 10, 13), size=13)]
    parts += [
        f'<path d="M{LEFT} {tall(at):.1f}H{WIDTH - RIGHT}" stroke="#eaeef2"/>'
        + text(4, tall(at) + 4, f"{at:.4g}", size=11, fill=SOFT)
        for at in (low, (low + high) / 2, high)
    ]
    for number, lane in enumerate(lanes):
        colour, dash = LINES[number % len(LINES)], "" if number == 0 else f' stroke-dasharray="{2 + 4 * number} 3"'
        parts += _curve(lane, name, tall, place, now, f'stroke="{colour}"{dash}')
        parts.append(
            f'<path d="M{LEFT + 150 * number} {top + PLOT + 18}h20" stroke="{colour}"{dash} stroke-width="2"/>'
        )
        parts.append(text(LEFT + 150 * number + 26, top + PLOT + 22, _cut(lane["environment"], 110, 12)))
    return parts, top + PLOT + 36


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * 0.1 or abs(high) * 0.05 or 1.0
    return low - room, high + room


def _curve(
    lane: Json, name: str, tall: Callable[[float], float], place: Place, now: datetime, stroke: str
) -> Iterator[str]:
    """Steps: what was live had its figure as long as it was."""
    spans = [one for one in lane["spans"] if name in one["metrics"]]
    steps: list[str] = []
    for one in spans:
        x, wide = _stretch(one, place, now)
        y = tall(one["metrics"][name])
        steps += [f"{x:.1f},{y:.1f}", f"{x + wide:.1f},{y:.1f}"]
    if steps:
        yield f'<polyline points="{" ".join(steps)}" fill="none" {stroke} stroke-width="2"/>'
    for one in spans:
        x, y = place(_time(one["from"])), tall(one["metrics"][name])
        said = escaped(f"{one['version']}: {name} {one['metrics'][name]:.6g}"[:200])
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="#ffffff" {stroke}><title>{said}</title></circle>'


def _cut(words: str, wide: float, size: float) -> str:
    """As much of a text as there is room for."""
    if width_of(words, size) <= wide:
        return words
    while words and width_of(f"{words}…", size) > wide:
        words = words[:-1]
    return f"{words}…" if words else ""


def _time(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)
