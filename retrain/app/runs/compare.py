"""Two to five runs side by side: what they were given, what they measured, how long each step took. Pure.

Every row has one value for each run, in the order in which the runs were named; the first is what the others are
compared with. `same`: all have that value, or all have none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

from pipelines.pictures.reading import LEAVES
from retrain.app.runs.values import Said, number
from retrain.store.run_outlines import Stub

Json = dict[str, Any]
Direction = Literal["higher", "lower"]
LEAST, MOST = 2, 5
"""Runs that can be compared at once."""
MOST_ROWS = 300
MOST_CURVES = 8
MOST_POINTS = 400
LONGEST = 2000
"""Letters of a parameter that is shown."""
USUAL: Mapping[str, Direction] = {
    **dict.fromkeys(("accuracy", "auc", "roc_auc", "f1", "precision", "recall", "r2", "ap", "map", "ndcg"), "higher"),
    **dict.fromkeys(
        ("loss", "rmse", "mse", "mae", "mape", "logloss", "log_loss", "error", "perplexity", "wer"), "lower"
    ),
}
"""What is better of figures that have one meaning everywhere, where no gate says it."""
_ITEM = re.compile(r"\(\d+(?::.*)?\)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Side:
    """One run. `steps`: its nodes that do something, with where they stand in it; `artifacts`: what it gave, as (step,
    name) with its digest or "" where nobody knows it; `images`: those of its templates; `causes`: what started it."""

    id: str
    name: str
    workflow: str
    phase: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    said: Said
    steps: Sequence[Stub] = ()
    artifacts: Mapping[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    causes: Json = field(default_factory=dict[str, Any])


def compare(sides: Sequence[Side], better: Mapping[str, Direction], now: datetime) -> Json:
    """What is told of them. `better`: which figures of a metric are better, as the project's gates say."""
    return {
        "runs": [_run(side, now) for side in sides],
        "parameters": _texts([side.said.parameters for side in sides]),
        "metrics": metrics([side.said.metrics for side in sides], better),
        "steps": steps(sides, now),
        "artifacts": _artifacts(sides),
        "images": _texts([side.images for side in sides]),
        "causes": [side.causes for side in sides],
        "curves": curves([side.said.evaluation for side in sides]),
    }


def _run(side: Side, now: datetime) -> Json:
    seconds = None if side.started is None else ((side.finished or now) - side.started).total_seconds()
    evaluation = side.said.evaluation
    return {
        "id": side.id,
        "name": side.name,
        "workflow": side.workflow,
        "phase": side.phase,
        "created": _stamp(side.created),
        "startedAt": _stamp(side.started),
        "finishedAt": _stamp(side.finished),
        "seconds": seconds,
        "dataset": _text(evaluation.get("dataset")),
        "code": _text(evaluation.get("code")),
    }


# --- texts and figures -----------------------------------------------------------------------------------------------


def _texts(sides: Sequence[Mapping[str, str]]) -> list[Json]:
    rows: list[Json] = []
    for name in _names(sides):
        values = [side.get(name) for side in sides]
        shown = [value if value is None else value[:LONGEST] for value in values]
        rows.append({"name": name, "values": shown, "same": len(set(values)) == 1})
    return rows


def metrics(sides: Sequence[Mapping[str, float]], better: Mapping[str, Direction]) -> list[Json]:
    """`deltas`: to the first run's. `best`: which runs are (those that share the best figure), where `better` is
    known, by a `gate` or the metric's own `name` (`known`), and the figures are not all the same."""
    rows: list[Json] = []
    for name in _names(sides):
        values = [side.get(name) for side in sides]
        way = better.get(name) or USUAL.get(name.lower())
        deltas = [None if value is None or values[0] is None else value - values[0] for value in values]
        rows.append(
            {
                "name": name,
                "values": values,
                "deltas": [_finite(delta) for delta in deltas],
                "same": len(set(values)) == 1,
                "better": way,
                "known": None if way is None else "gate" if name in better else "name",
                "best": _best(values, way),
            }
        )
    return rows


def _best(values: Sequence[float | None], way: Direction | None) -> list[int]:
    there = [value for value in values if value is not None]
    if way is None or len(there) < 2 or len(set(there)) == 1:
        return []
    best = max(there) if way == "higher" else min(there)
    return [index for index, value in enumerate(values) if value == best]


def _names(sides: Sequence[Mapping[str, Any]]) -> list[str]:
    """All names, as the first run that has them orders them."""
    return list(dict.fromkeys(name for side in sides for name in side))[:MOST_ROWS]


# --- steps and artifacts ---------------------------------------------------------------------------------------------


def steps(sides: Sequence[Side], now: datetime) -> list[Json]:
    """A row for each step by its place in the workflow; the items of a loop are one row. `seconds`: from the first that
    began to the last that ended; `count`: how many there were; `phases`: the worst of them."""
    found = [_by_place(side) for side in sides]
    rows: list[Json] = []
    for place in _names(found):
        some = [side.get(place, []) for side in found]
        rows.append(
            {
                "name": place,
                "template": next((one[0].template for one in some if one), ""),
                "seconds": [_span(one, now) for one in some],
                "count": [len(one) for one in some],
                "phases": [_worst(one) for one in some],
            }
        )
    return rows


def place_of(name: str, run: str) -> str:
    """Where a node stands in a run's workflow, without the items of loops and attempts: `train`, `[0].prepare`."""
    parts = name.removeprefix(run).removeprefix(".") or name
    while (shorter := _ITEM.sub("", parts)) != parts:
        parts = shorter
    return parts


def _by_place(side: Side) -> dict[str, list[Stub]]:
    found: dict[str, list[Stub]] = {}
    for one in sorted(side.steps, key=lambda stub: stub.started[:19] or "~"):
        if one.kind in LEAVES:
            found.setdefault(place_of(one.name, side.name), []).append(one)
    return found


def _span(some: Sequence[Stub], now: datetime) -> float | None:
    begun = [one for one in some if one.started]
    if not begun:
        return None
    first = min(datetime.fromisoformat(one.started) for one in begun)
    last = max(datetime.fromisoformat(one.finished) if one.finished else now for one in begun)
    return max(0.0, (last - first).total_seconds())


_BADNESS = ("Error", "Failed", "Running", "Pending", "Succeeded", "Skipped", "Omitted")


def _worst(some: Sequence[Stub]) -> str | None:
    phases = {one.phase for one in some}
    return next((phase for phase in _BADNESS if phase in phases), None)


def _artifacts(sides: Sequence[Side]) -> list[Json]:
    """`digests`: null where a run has none of it, "" where its repository does not know. `same`: null where that is."""
    rows: list[Json] = []
    keys = list(dict.fromkeys(key for side in sides for key in side.artifacts))[:MOST_ROWS]
    for step, name in keys:
        digests = [side.artifacts.get((step, name)) for side in sides]
        same = None if "" in digests else len(set(digests)) == 1
        rows.append({"step": step, "name": name, "digests": digests, "same": same})
    return rows


# --- curves ----------------------------------------------------------------------------------------------------------


def curves(evaluations: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Curves by name, a line for each run that has one: `{"name", "lines": [{"run": its place, "x", "y"}]}`."""
    told = [_part(evaluation.get("curves")) for evaluation in evaluations]
    found: list[Json] = []
    for name in _names(told)[:MOST_CURVES]:
        lines: list[Json] = []
        for index, side in enumerate(told):
            xs, ys = points(side.get(name))
            if len(xs) > 1:
                lines.append({"run": index, "x": xs, "y": ys})
        if lines:
            found.append({"name": name, "lines": lines})
    return found


def points(curve: object) -> tuple[list[float], list[float]]:
    """The points of a curve `{x, y}`; of many so many, evenly chosen, with the last."""
    body = _part(curve)
    xs, ys = body.get("x"), body.get("y")
    if not isinstance(xs, list) or not isinstance(ys, list):
        return [], []
    pairs = zip(cast("list[Any]", xs), cast("list[Any]", ys), strict=False)
    good = [(x, y) for a, b in pairs if (x := _plain(a)) is not None and (y := _plain(b)) is not None]
    step = max(1, math.ceil(len(good) / MOST_POINTS))
    some = good[::step]
    if good and some[-1] != good[-1]:
        some.append(good[-1])
    return [x for x, _ in some], [y for _, y in some]


def _plain(value: object) -> float | None:
    """A figure that can be drawn."""
    found = None if isinstance(value, str) else number(value)
    return found if found is not None and abs(found) < 1e15 else None


def _part(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value[:LONGEST] if isinstance(value, str) else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _stamp(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time else None
