"""The view of two to five runs side by side."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from markupsafe import Markup

from pipelines.pictures.reading import in_words
from retrain.app.runs import curves as run_curves
from retrain.app.runs.asking import compare_named
from retrain.web.page.frame import Frame, View
from retrain.web.page.words import command, drawing, number

Names = Annotated[list[str], Query(alias="name", default_factory=list, description="Names or ids of two to five runs")]
TOLD = 12
"""Points of a curve that its table tells."""


def add_compare_view(page: FastAPI, frame: Frame) -> None:
    """Add its route."""

    @page.get("/ui/runs/compare")
    async def compare(request: Request, names: Names, all: bool = False) -> Response:
        found = await compare_named(frame.services, names)
        said = [one["name"] for one in found["runs"]]
        view = View("compare.html", "Runs side by side", command("runs", "compare", *said))
        pictures = [(one, drawing(run_curves.svg(one, said)), _told(one)) for one in found["curves"]]
        keys = [Markup(run_curves.key(index)) for index in range(len(said))]  # noqa: S704 - a picture of ours
        more = {
            "found": found,
            "names": said,
            "pictures": pictures,
            "keys": keys,
            "all": all,
            "delta": delta,
            "span": span,
        }
        return frame.show(request, view, **more)


def delta(value: float | None) -> str:
    """A difference, with its sign."""
    return "" if value is None else f"{value:+.4g}".replace("-", "−") if value else "±0"  # noqa: RUF001 - a minus


def span(seconds: float | None) -> str:
    """How long something took."""
    return "" if seconds is None else in_words(seconds, exact=True)


def _told(curve: dict[str, Any]) -> list[tuple[int, list[tuple[str, str]]]]:
    """A few points of each line, for a table."""
    found: list[tuple[int, list[tuple[str, str]]]] = []
    for line in curve["lines"]:
        pairs = list(zip(line["x"], line["y"], strict=True))
        step = max(1, (len(pairs) - 1) // (TOLD - 1))
        some = [*pairs[:-1:step][: TOLD - 1], pairs[-1]]
        found.append((line["run"], [(number(x), number(y)) for x, y in some]))
    return found
