"""The time of a run: a bar for each step, in the order of the tree, as text and as SVG.

A bar reaches to `now` where the step has not ended. What began and ended in the same moment is still a stroke.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.pictures.ink import colours_of, escaped, page, text, width_of
from pipelines.pictures.reading import (
    Node,
    began,
    ended,
    icon_of,
    in_words,
    label_of,
    lasted,
    name_of,
    plain,
    short,
    waits_for_people,
)
from pipelines.pictures.tree import Keep, rows

FULL, PART, POINT = "█", "▒", "▏"
STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)
"""Distances that a scale may have, in seconds."""
LABEL, ROW, MARGIN, CHART = 260.0, 22.0, 20.0, 760.0
MOST_LETTERS = 38


@dataclass(frozen=True, slots=True)
class Bar:
    """A node's time, in seconds since the run began; `deep` is how far its name is moved in."""

    node: Node
    deep: int
    start: float
    end: float
    open: bool


@dataclass(frozen=True, slots=True)
class Chart:
    """All bars, and how long the run lasts, in seconds (never 0)."""

    bars: tuple[Bar, ...]
    length: float


def chart_of(workflow: Mapping[str, Any], now: datetime, keep: Keep | None = None) -> Chart:
    """The bars of a run; nodes that have not begun have none."""
    status: Mapping[str, Any] = workflow.get("status") or {}
    seen = [row for row in rows(workflow, keep=keep) if row.node is not None and began(row.node) is not None]
    starts: list[datetime] = [start for row in seen if row.node is not None and (start := began(row.node))]
    first = min([*starts, began(status) or now])
    bars = tuple(_bar(row.node, len(row.prefix) // 2, first, now) for row in seen if row.node is not None)
    return Chart(bars, max([0.001, *(bar.end for bar in bars)]))


def _bar(node: Node, deep: int, first: datetime, now: datetime) -> Bar:
    start, end = began(node) or now, ended(node)
    until = max(start, end or now)
    return Bar(node, deep, (start - first).total_seconds(), (until - first).total_seconds(), end is None)


# --- text ------------------------------------------------------------------------------------------------------------


def gantt(
    workflow: Mapping[str, Any], now: datetime, *, width: int = 100, utf8: bool = True, keep: Keep | None = None
) -> str:
    """The chart as text, `width` columns wide."""
    chart = chart_of(workflow, now, keep)
    names = [_name(bar, utf8=utf8) for bar in chart.bars]
    label = min(max((len(name) for name in names), default=4), max(16, width // 3))
    room = max(10, width - label - 10)
    lines = [f"{'':<{label}}  {_scale(chart.length, room)}".rstrip()]
    for bar, name in zip(chart.bars, names, strict=True):
        drawn = _stroke(bar, chart.length, room, utf8=utf8)
        lines.append(f"{short(name, label):<{label}}  {drawn:<{room}} {lasted(bar.node, now)}".rstrip())
    return "\n".join(lines) + "\n"


def _name(bar: Bar, *, utf8: bool) -> str:
    mark = icon_of(bar.node) if utf8 else {"Succeeded": "+", "Failed": "x", "Error": "!"}.get(bar.node["phase"], "-")
    return f"{' ' * bar.deep}{mark} {label_of(bar.node)}"


def _stroke(bar: Bar, length: float, room: int, *, utf8: bool) -> str:
    start, end = (min(room, int(time / length * room)) for time in (bar.start, bar.end))
    full = FULL if utf8 else "="
    if bar.node.get("type") in {"DAG", "Steps", "Retry"}:
        full = "─" if utf8 else "-"
    elif bar.open:
        full = PART if utf8 else "~"
    if end <= start:
        return " " * min(start, room - 1) + (POINT if utf8 else "|")
    return " " * start + full * (end - start)


def _scale(length: float, room: int) -> str:
    line = ""
    for time in _ticks(length, max(1, room // 10)):
        place = int(time / length * room)
        if place < len(line) + bool(line):
            continue
        line = line.ljust(place) + _time(time)
    return line


def _ticks(length: float, most: int) -> Iterator[float]:
    step = next((one for one in STEPS_S if length / one <= most), STEPS_S[-1])
    step = step if length / step <= 50 else length / most
    return (index * step for index in range(int(length / step) + 1))


def _time(seconds: float) -> str:
    return "0" if not seconds else f"{seconds:.1f}s" if seconds % 1 else in_words(seconds)


# --- SVG -------------------------------------------------------------------------------------------------------------


def gantt_svg(workflow: Mapping[str, Any], now: datetime, *, keep: Keep | None = None) -> str:
    """The chart as an SVG document; message and times are shown where the pointer rests."""
    chart = chart_of(workflow, now, keep)
    status: Mapping[str, Any] = workflow.get("status") or {}
    words = [name_of(workflow), str(status.get("phase") or "Pending"), lasted(status, now)]
    heading = plain(" · ".join(word for word in words if word))
    top = MARGIN + 52
    left = MARGIN + _label_width(chart.bars)
    height = top + ROW * len(chart.bars) + MARGIN
    parts = [text(MARGIN, MARGIN + 12, heading, size=15, more=' font-weight="600"')]
    parts.extend(_grid(chart.length, left, top, height - MARGIN))
    parts.extend(_row(bar, index, chart.length, left, now) for index, bar in enumerate(chart.bars))
    return page(max(left + CHART + 90, 2 * MARGIN + width_of(heading, 15)), height, name_of(workflow), parts)


def _label_width(bars: Sequence[Bar]) -> float:
    return max([120.0, *(width_of(short(label_of(bar.node), MOST_LETTERS), 12) + 12 * bar.deep + 34 for bar in bars)])


def _grid(length: float, left: float, top: float, bottom: float) -> Iterator[str]:
    for time in _ticks(length, 10):
        x = left + time / length * CHART
        yield f'<path d="M{x:.1f} {top - 8:.1f}V{bottom:.1f}" stroke="#eaeef2"/>'
        yield text(x, top - 12, _time(time), size=10.5, fill="#57606a", more=' text-anchor="middle"')


def _row(bar: Bar, index: int, length: float, left: float, now: datetime) -> str:
    phase = "Suspended" if waits_for_people(bar.node) else str(bar.node.get("phase") or "Pending")
    ink = colours_of(phase)
    y = MARGIN + 52 + ROW * index
    x = left + bar.start / length * CHART
    wide = max(2.0, (bar.end - bar.start) / length * CHART)
    group = bar.node.get("type") in {"DAG", "Steps", "Retry"}
    high, down = (5.0, 8.5) if group else (14.0, 4.0)
    style = f'fill="{ink.line}"' + (' fill-opacity="0.45"' if bar.open or group else "")
    name = short(label_of(bar.node), MOST_LETTERS)
    took = lasted(bar.node, now)
    tip = "\n".join(
        part for part in (label_of(bar.node), phase, took, plain(str(bar.node.get("message") or ""))) if part
    )
    return "".join(
        (
            f"<g><title>{escaped(tip)}</title>",
            text(MARGIN + 12 * (bar.deep - 0.5), y + 15, ink.mark, fill=ink.line),
            text(MARGIN + 12 * (bar.deep - 0.5) + 17, y + 15, name, more=' font-weight="600"' if group else ""),
            f'<rect x="{x:.1f}" y="{y + down:.1f}" width="{wide:.1f}" height="{high:g}" rx="2" {style}/>',
            text(x + wide + 6, y + 15, took, size=10.5, fill="#57606a"),
            "</g>",
        )
    )
