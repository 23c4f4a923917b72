"""A sensor as its user wrote it, comments included, and what the linter says of each of its lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.app.catalog import Item, build
from retrain.app.project import Project, check_sensor
from retrain.app.source_view import finding
from retrain.manifests import Document, Finding, load_file, load_text, to_yaml

Json = dict[str, Any]
NAME = "manifest"
"""What a text is called that has no file."""


@dataclass(frozen=True, slots=True)
class Written:
    """A sensor's text. `line`: the one of its file that it begins at. `from_file`: as it stands there; else it was
    written anew from what runs, because the file is another one by now, or gone."""

    text: str
    line: int
    from_file: bool


def written(item: Item) -> Written:
    """The text of a sensor that runs. Reads its file."""
    own = item.document
    documents, _ = load_file(own.file)
    same = [one for one in documents if (one.kind, one.name) == (own.kind, own.name) and one.body == own.body]
    if len(same) != 1:
        return Written(to_yaml(own.body), 1, from_file=False)
    start, others = same[0].line, (one.line for one in documents if one.line > same[0].line)
    lines = Path(own.file).read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return Written(_part(lines, start, min(others, default=len(lines) + 1)), start, from_file=True)


def _part(lines: Sequence[str], start: int, end: int) -> str:
    """The lines of one document among several, without what stands between it and the next."""
    mine = list(lines[start - 1 : end - 1])
    for number, line in enumerate(mine):
        if number and (line == "---" or line.startswith(("--- ", "..."))):
            mine = mine[:number]
            break
    return "\n".join(mine).rstrip() + "\n"


def lint_text(text: str, project: Project) -> list[Finding]:
    """What is wrong with the Sensors in a text, by itself and with the rest of the project. Nothing is kept."""
    documents, found = load_text(text, NAME)
    for document in documents:
        _, wrong = build(document)
        found += wrong
        if document.kind == "Sensor":
            found += check_sensor(document, _beside(project))
    return sorted(dict.fromkeys(found), key=lambda one: (one.line, one.column))


def _beside(project: Project) -> list[Document]:
    rooms = (project.event_sources, project.workflow_templates, project.promotions)
    return [one.document for room in rooms for one in room]


def lines_of(text: str, findings: Iterable[Finding], first: int = 1) -> list[Json]:
    """A text line by line with what was found in each: `{"number", "text", "findings"}`. Pure.

    `first`: the number of its first line in a file; findings count from 1.
    """
    at: Mapping[int, list[Json]] = _by_line(findings)
    lines = text.splitlines() or [""]
    last = len(lines)
    return [
        {
            "number": first + number - 1,
            "text": line,
            "findings": at.get(number, []) + (_after(at, last) if number == last else []),
        }
        for number, line in enumerate(lines, 1)
    ]


def _after(at: Mapping[int, list[Json]], last: int) -> list[Json]:
    """What was found behind the end: where something is missing there."""
    return [one for line, found in at.items() if line > last for one in found]


def _by_line(findings: Iterable[Finding]) -> dict[int, list[Json]]:
    found: dict[int, list[Json]] = {}
    for one in findings:
        found.setdefault(one.line, []).append(finding(one))
    return found
