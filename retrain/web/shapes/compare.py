"""Runs side by side, and a look into an artifact."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from retrain.web.shapes.common import Object, Shape, When


class Side(Shape):
    """One of the runs."""

    id: str
    name: str
    workflow: str
    phase: str
    created: When
    startedAt: When | None
    finishedAt: When | None
    seconds: float | None
    dataset: str | None = Field(description="What it was judged on, as its evaluation says")
    code: str | None


class Texts(Shape):
    """A parameter, or the image of a template, with a value for each run."""

    name: str
    values: list[str | None]
    same: bool


class Metric(Shape):
    """A figure of each run. `deltas`: to the first's. `best`: which runs have the best, where `better` is known."""

    name: str
    values: list[float | None]
    deltas: list[float | None]
    same: bool
    better: Literal["higher", "lower"] | None
    known: Literal["gate", "name"] | None
    best: list[int]


class Step(Shape):
    """A step by its place in the workflow; the items of a loop are one."""

    name: str
    template: str
    seconds: list[float | None]
    count: list[int]
    phases: list[str | None]


class Made(Shape):
    """An artifact by its digest: null where a run has none, empty where its repository does not know it."""

    step: str
    name: str
    digests: list[str | None]
    same: bool | None


class Curve(Shape):
    """A curve: a line for each run that has it."""

    name: str
    lines: list[Object]


class Comparison(Shape):
    """Two to five runs side by side: every row has one value for each, in their order."""

    runs: list[Side]
    parameters: list[Texts]
    metrics: list[Metric]
    steps: list[Step]
    artifacts: list[Made]
    images: list[Texts]
    causes: list[Object]
    curves: list[Curve]


class Inside(Shape):
    """A thing in a directory or archive."""

    name: str
    kind: Literal["file", "folder", "link", "other"]
    size: int | None
    target: str | None


class Look(Shape):
    """What an artifact is: the beginning of its text or table, or what is in it."""

    name: str
    kind: Literal["image", "page", "table", "json", "text", "folder", "binary", "large", "nothing"]
    size: int | None
    cut: bool
    entries: list[Inside] | None
    text: str | None
    table: Any
