"""Rows of a measurement, their table, and their JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """One figure, the best of its rounds; `median` is theirs. `peer`: the same in the same run by `peer_name`.

    `goal`: a bound, `at_least` or at most.
    """

    what: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    goal: float | None = None
    at_least: bool = True
    median: float | None = None

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.ours >= self.goal if self.at_least else self.ours <= self.goal

    def to_json(self) -> dict[str, object]:
        return {
            "what": self.what,
            "ours": round(self.ours, 3),
            "median": round(self.median, 3) if self.median is not None else None,
            "peer": round(self.peer, 3) if self.peer is not None else None,
            "peerName": self.peer_name,
            "ratio": round(self.ours / self.peer, 2) if self.peer else None,
            "unit": self.unit,
            "goal": self.goal,
            "met": self.met,
        }


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def draw(rows: Sequence[dict[str, object]]) -> None:
    """Print rows for a person."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("WHAT", "BEST", "MEDIAN", "PEER", "RATIO", "UNIT", "GOAL", ""):
        table.add_column(title, justify="left" if title in {"WHAT", "UNIT", ""} else "right")
    for row in rows:
        peer = f"{_figure(row.get('peer'))} {row.get('peerName') or ''}".strip() if row.get("peer") else ""
        met = {True: "met", False: "MISSED", None: ""}[row.get("met")]  # type: ignore[index]
        table.add_row(
            str(row["what"]),
            _figure(row["ours"]),
            _figure(row.get("median")),
            peer,
            _figure(row.get("ratio")),
            str(row["unit"]),
            _figure(row.get("goal")),
            met,
        )
    console = Console()
    (console if console.is_terminal else Console(width=150)).print(table)


def finish(name: str, rows: Sequence[Row]) -> None:
    """Print a measurement as its command line asks."""
    values = [row.to_json() for row in rows]
    if "--json" in sys.argv:
        print(json.dumps({"name": name, "rows": values}))
    else:
        draw(values)


def _figure(value: object) -> str:
    if value is None:
        return ""
    number = float(value)  # type: ignore[arg-type]
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
